//! A checkpoint in a folder of safetensors files.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::Checkpoint;
use super::config_json::Fields;
use super::float8::dequantised;
use crate::{Configuration, ModelError};

/// The tensors of a folder with `config.json` and `model.safetensors`, or the shards that
/// `model.safetensors.index.json` names.
pub(crate) struct FolderCheckpoint {
    config_path: PathBuf,
    config: Value,
    shards: Vec<Shard>,
    /// The shard that has a tensor.
    shard_of: HashMap<String, usize>,
}

/// One memory-mapped file, whose header has been checked.
struct Shard {
    path: PathBuf,
    bytes: Mmap,
}

impl FolderCheckpoint {
    pub(crate) fn open(folder: &Path) -> Result<Self, ModelError> {
        let config_path = folder.join("config.json");
        let config = read_json(&config_path)?;
        let mut shards = Vec::new();
        for path in shard_paths(folder)? {
            shards.push(Shard::open(path)?);
        }
        let mut shard_of = HashMap::new();
        for (index, shard) in shards.iter().enumerate() {
            for name in shard.tensors()?.names() {
                shard_of.insert(name.to_owned(), index);
            }
        }
        Ok(Self {
            config_path,
            config,
            shards,
            shard_of,
        })
    }

    /// The tensor as `f32`, whatever its shape.
    fn read(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        let Some(&index) = self.shard_of.get(name) else {
            return Err(ModelError::MissingTensor {
                path: self.folder(),
                tensor: name.to_owned(),
            });
        };
        let shard = &self.shards[index];
        let view = shard
            .tensors()?
            .tensor(name)
            .map_err(|source| shard.refused(source))?;
        let found: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        if found != shape {
            return Err(ModelError::Shape {
                path: shard.path.clone(),
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                found,
            });
        }
        let typed = |kind| Tensor::f_from_data_size(view.data(), shape, kind);
        let tensor = match view.dtype() {
            Dtype::F32 => typed(Kind::Float)?,
            Dtype::F16 => typed(Kind::Half)?,
            Dtype::BF16 => typed(Kind::BFloat16)?,
            Dtype::F8_E4M3 => {
                let block = self.block()?;
                let blocks: Vec<i64> = match shape {
                    [rows, columns] => {
                        vec![(rows + block - 1) / block, (columns + block - 1) / block]
                    }
                    _ => return Err(shard.wrong_kind(name, "two-dimensional F8_E4M3")),
                };
                let scales = self.read(&format!("{name}_scale_inv"), &blocks)?;
                dequantised(view.data(), &scales, block, shape)?
            }
            _ => return Err(shard.wrong_kind(name, "F32, F16, BF16, F8_E4M3")),
        };
        Ok(tensor.f_to_kind(Kind::Float)?)
    }

    /// Side of the square blocks that share a scale.
    fn block(&self) -> Result<i64, ModelError> {
        let sizes = &self.config["quantization_config"]["weight_block_size"];
        match (sizes[0].as_i64(), sizes[1].as_i64()) {
            (Some(rows), Some(columns)) if rows == columns && rows > 0 => Ok(rows),
            _ => Err(ModelError::Unsupported {
                path: self.config_path.clone(),
                field: "quantization_config.weight_block_size".to_owned(),
                found: sizes.to_string(),
                supported: "square blocks",
            }),
        }
    }

    fn folder(&self) -> PathBuf {
        self.config_path
            .parent()
            .unwrap_or(Path::new(""))
            .to_owned()
    }
}

impl Checkpoint for FolderCheckpoint {
    fn configuration(&self) -> Result<Configuration, ModelError> {
        Fields::new(&self.config_path, &self.config).configuration()
    }

    fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        self.read(name, shape)
    }
}

impl Shard {
    fn open(path: PathBuf) -> Result<Self, ModelError> {
        let read = |source| ModelError::Read {
            path: path.clone(),
            source,
        };
        let file = File::open(&path).map_err(read)?;
        // SAFETY: the mapping is read-only; that nobody truncates a model file while it is being
        // loaded is what every reader of such files assumes.
        let bytes = unsafe { Mmap::map(&file) }.map_err(read)?;
        let shard = Self { path, bytes };
        shard.tensors()?;
        Ok(shard)
    }

    fn tensors(&self) -> Result<SafeTensors<'_>, ModelError> {
        SafeTensors::deserialize(&self.bytes).map_err(|source| self.refused(source))
    }

    fn refused(&self, source: safetensors::SafeTensorError) -> ModelError {
        ModelError::Safetensors {
            path: self.path.clone(),
            detail: source.to_string(),
        }
    }

    fn wrong_kind(&self, tensor: &str, supported: &'static str) -> ModelError {
        ModelError::Unsupported {
            path: self.path.clone(),
            field: format!("the type of tensor {tensor}"),
            found: "another".to_owned(),
            supported,
        }
    }
}

/// The weight files of `folder`, each once.
fn shard_paths(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let index_path = folder.join("model.safetensors.index.json");
    if !index_path.is_file() {
        return Ok(vec![folder.join("model.safetensors")]);
    }
    let index = read_json(&index_path)?;
    let wrong = |detail: String| ModelError::Safetensors {
        path: index_path.clone(),
        detail,
    };
    let Some(map) = index["weight_map"].as_object() else {
        return Err(wrong("weight_map is not a map".to_owned()));
    };
    let mut names = Vec::new();
    for (tensor, shard) in map {
        // A name with a separator could lead out of the folder.
        match shard.as_str() {
            Some(name) if Path::new(name).file_name() == Some(name.as_ref()) => names.push(name),
            _ => {
                return Err(wrong(format!(
                    "the shard of {tensor} is {shard}, expected a name"
                )));
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// A JSON file of the checkpoint.
pub(crate) fn read_json(path: &Path) -> Result<Value, ModelError> {
    let bytes = std::fs::read(path).map_err(|source| ModelError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|error| ModelError::Safetensors {
        path: path.to_owned(),
        detail: error.to_string(),
    })
}
