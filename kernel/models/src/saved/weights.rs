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
const SINGLE: &str = "model.safetensors";
/// A tensor that the reference keeps in `f32` whatever the kind of the model.
const EXACT: &str = "e_score_correction_bias";

/// Writes all tensors in `kind`: into `model.safetensors`, or into files of at most `limit` bytes
/// each, or of one larger tensor, with an index.
pub(crate) fn write_weights(
    folder: &Path,
    tensors: Vec<CheckpointTensor>,
    kind: Kind,
    limit: u64,
) -> Result<(), ModelError> {
    let parameters: u64 = tensors.iter().map(CheckpointTensor::numel).sum();
    let total: u64 = tensors.iter().map(|tensor| bytes(tensor, kind)).sum();
    let mut progress = Progress::new("saving", total);
    let shards = shards(tensors, kind, limit);
    if let [shard] = shards.as_slice() {
        return write_shard(&folder.join(SINGLE), shard, kind, &mut progress);
    }
    let mut places = BTreeMap::new();
    for (index, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", index + 1, shards.len());
        write_shard(&folder.join(&name), shard, kind, &mut progress)?;
        places.extend(shard.iter().map(|tensor| (&tensor.name, name.clone())));
    }
    let index = json!({
        "metadata": {"total_parameters": parameters, "total_size": total},
        "weight_map": places,
    });
    write_json(&folder.join(INDEX), &index)
}

/// The tensors in order, in runs of at most `limit` bytes or of one.
fn shards(tensors: Vec<CheckpointTensor>, kind: Kind, limit: u64) -> Vec<Vec<CheckpointTensor>> {
    let (mut shards, mut used) = (vec![Vec::new()], 0);
    for tensor in tensors {
        let bytes = bytes(&tensor, kind);
        match shards.last_mut() {
            Some(shard) if shard.is_empty() || used + bytes <= limit => {
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

fn bytes(tensor: &CheckpointTensor, kind: Kind) -> u64 {
    tensor.numel() * kind_of(tensor, kind).elt_size_in_bytes() as u64
}

fn kind_of(tensor: &CheckpointTensor, kind: Kind) -> Kind {
    match tensor.name.ends_with(EXACT) {
        true => Kind::Float,
        false => kind,
    }
}

fn write_shard(
    path: &Path,
    shard: &[CheckpointTensor],
    kind: Kind,
    progress: &mut Progress,
) -> Result<(), ModelError> {
    let mut numbers = Vec::with_capacity(shard.len());
    for tensor in shard {
        interrupt::check()?;
        let numbers_of = Numbers::new(tensor.tensor(kind_of(tensor, kind))?);
        numbers.push((tensor.name.as_str(), numbers_of));
    }
    interrupt::check()?;
    // What `transformers` asks of a file.
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(numbers, Some(metadata), path)
        .map_err(std::io::Error::other)
        .and_then(|()| File::open(path)?.sync_all())
        .map_err(|source| ModelError::Write {
            path: path.to_owned(),
            source,
        })?;
    progress.advance(shard.iter().map(|tensor| bytes(tensor, kind)).sum());
    Ok(())
}

/// A tensor on the CPU, one number after another.
struct Numbers {
    tensor: Tensor,
    shape: Vec<usize>,
    dtype: Dtype,
}

impl Numbers {
    fn new(tensor: Tensor) -> Self {
        Self {
            shape: tensor.size().iter().map(|&size| size as usize).collect(),
            // Weights have no other kinds.
            dtype: match tensor.kind() {
                Kind::Half => Dtype::F16,
                Kind::BFloat16 => Dtype::BF16,
                _ => Dtype::F32,
            },
            tensor,
        }
    }
}

impl View for Numbers {
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
        // SAFETY: `CheckpointTensor::tensor` gives contiguous tensors on the CPU, whose storage lives as long
        // as the tensor, and nothing writes to a model's weights.
        Cow::Borrowed(unsafe { std::slice::from_raw_parts(first, self.data_len()) })
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.tensor.kind().elt_size_in_bytes()
    }
}
