//! The safetensors files of a saved model.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use offmodel_events::{Progress, interrupt};
use safetensors::tensor::{Dtype, View};
use serde_json::json;
use tch::{Kind, Tensor};

use super::auxiliary_files::write_json;
use crate::ModelError;
use crate::transformer::CheckpointTensor;

pub(super) const INDEX: &str = "model.safetensors.index.json";
const SINGLE_FILE: &str = "model.safetensors";
/// The suffix of tensors that `transformers` keeps in `f32` whatever the kind of the model.
const F32_SUFFIX: &str = "e_score_correction_bias";

/// Writes all tensors in `kind`: to `model.safetensors`, or to several shards with an index if they
/// take more than `max_shard_bytes`. A larger tensor gets a shard of its own.
pub(crate) fn write_weights(
    folder: &Path,
    tensors: Vec<CheckpointTensor>,
    kind: Kind,
    max_shard_bytes: u64,
) -> Result<(), ModelError> {
    let total_parameters: u64 = tensors.iter().map(CheckpointTensor::numel).sum();
    let total_bytes: u64 = tensors.iter().map(|tensor| saved_bytes(tensor, kind)).sum();
    let mut progress = Progress::new("saving", total_bytes);
    let shards = split_into_shards(tensors, kind, max_shard_bytes);
    if let [shard] = shards.as_slice() {
        return write_shard(&folder.join(SINGLE_FILE), shard, kind, &mut progress);
    }
    let mut weight_map = BTreeMap::new();
    for (index, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", index + 1, shards.len());
        write_shard(&folder.join(&name), shard, kind, &mut progress)?;
        weight_map.extend(shard.iter().map(|tensor| (&tensor.name, name.clone())));
    }
    let index = json!({
        "metadata": {"total_parameters": total_parameters, "total_size": total_bytes},
        "weight_map": weight_map,
    });
    write_json(&folder.join(INDEX), &index)
}

/// Splits the tensors, in order, into runs of at most `max_shard_bytes` or of one tensor.
fn split_into_shards(
    tensors: Vec<CheckpointTensor>,
    kind: Kind,
    max_shard_bytes: u64,
) -> Vec<Vec<CheckpointTensor>> {
    let (mut shards, mut used) = (vec![Vec::new()], 0);
    for tensor in tensors {
        let bytes = saved_bytes(&tensor, kind);
        match shards.last_mut() {
            Some(shard) if shard.is_empty() || used + bytes <= max_shard_bytes => {
                shard.push(tensor);
                used += bytes;
            }
            _ => {
                shards.push(vec![tensor]);
                used = bytes;
            }
        }
    }
    shards
}

fn saved_bytes(tensor: &CheckpointTensor, kind: Kind) -> u64 {
    tensor.numel() * saved_kind(tensor, kind).elt_size_in_bytes() as u64
}

fn saved_kind(tensor: &CheckpointTensor, kind: Kind) -> Kind {
    if tensor.name.ends_with(F32_SUFFIX) {
        Kind::Float
    } else {
        kind
    }
}

fn write_shard(
    path: &Path,
    shard: &[CheckpointTensor],
    kind: Kind,
    progress: &mut Progress,
) -> Result<(), ModelError> {
    let mut views = Vec::with_capacity(shard.len());
    for tensor in shard {
        interrupt::check()?;
        let view = CpuTensor::new(tensor.to_cpu(saved_kind(tensor, kind))?);
        views.push((tensor.name.as_str(), view));
    }
    interrupt::check()?;
    // `transformers` 4 refuses files without this entry.
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(views, Some(metadata), path)
        .map_err(std::io::Error::other)
        .and_then(|()| File::open(path)?.sync_all())
        .map_err(|source| ModelError::Write {
            path: path.to_owned(),
            source,
        })?;
    progress.advance(shard.iter().map(|tensor| saved_bytes(tensor, kind)).sum());
    Ok(())
}

/// A contiguous tensor on the CPU.
struct CpuTensor {
    tensor: Tensor,
    shape: Vec<usize>,
    dtype: Dtype,
}

impl CpuTensor {
    fn new(tensor: Tensor) -> Self {
        Self {
            shape: tensor.size().iter().map(|&size| size as usize).collect(),
            // Weights have no kinds but these three.
            dtype: match tensor.kind() {
                Kind::Half => Dtype::F16,
                Kind::BFloat16 => Dtype::BF16,
                _ => Dtype::F32,
            },
            tensor,
        }
    }
}

impl View for CpuTensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let first = self.tensor.data_ptr().cast::<u8>();
        if self.data_len() == 0 || first.is_null() {
            return Cow::Borrowed(&[]);
        }
        // SAFETY: `CheckpointTensor::to_cpu` returns contiguous tensors on the CPU, whose storage
        // lives as long as the tensor, and nothing writes to a model's weights.
        Cow::Borrowed(unsafe { std::slice::from_raw_parts(first, self.data_len()) })
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.tensor.kind().elt_size_in_bytes()
    }
}
