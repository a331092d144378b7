//! A checkpoint in a folder of safetensors files.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::Checkpoint;
use super::config_json::Fields;
use super::float8::dequantised;
use crate::hub::shards;
use crate::{Configuration, ModelError};

/// The tensors of a folder with `config.json` and `model.safetensors`, or the shards that
/// `model.safetensors.index.json` names.
pub(crate) struct SafetensorsCheckpoint {
    config_path: PathBuf,
    config: Value,
    shards: Vec<Shard>,
    /// The shard that has a tensor and the tensor's name there, by the name that a model of text
    /// alone would give it.
    places: HashMap<String, (usize, String)>,
}

/// One memory-mapped file, whose header has been checked against its length.
struct Shard {
    path: PathBuf,
    bytes: Mmap,
    header: Metadata,
    /// Where the numbers begin.
    start: usize,
}

/// How checkpoints of models of text and images begin the names of their text part, now and
/// before `transformers` 4.52; and how a model of text alone does.
const PREFIXES: [(&str, &str); 3] = [
    ("model.language_model.", "model."),
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
];

impl SafetensorsCheckpoint {
    pub(crate) fn open(folder: &Path) -> Result<Self, ModelError> {
        let config_path = folder.join("config.json");
        let config = read_json(&config_path)?;
        let mut shards = Vec::new();
        for path in shard_paths(folder)? {
            shards.push(Shard::open(path)?);
        }
        let mut places = HashMap::new();
        for (index, shard) in shards.iter().enumerate() {
            for name in shard.header.tensors().into_keys() {
                let prefix = PREFIXES.iter().find(|(long, _)| name.starts_with(long));
                let plain = match prefix {
                    Some((long, short)) => format!("{short}{}", &name[long.len()..]),
                    None => name.clone(),
                };
                places.insert(plain, (index, name));
            }
        }
        Ok(Self {
            config_path,
            config,
            shards,
            places,
        })
    }

    fn read(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        let Some((index, full_name)) = self.places.get(name) else {
            return Err(ModelError::MissingTensor {
                path: self.folder(),
                tensor: name.to_owned(),
            });
        };
        let shard = &self.shards[*index];
        let (info, data) = shard.tensor(full_name)?;
        let found: Vec<i64> = info.shape.iter().map(|&size| size as i64).collect();
        if found != shape {
            return Err(ModelError::Shape {
                path: shard.path.clone(),
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                found,
            });
        }
        match kind_of(info.dtype) {
            Some(kind) => Ok(Tensor::f_from_data_size(data, shape, kind)?),
            None if info.dtype == Dtype::F8_E4M3 => {
                let block = self.block()?;
                let [rows, columns] = shape else {
                    return Err(shard.wrong_kind(name, info.dtype));
                };
                let blocks = [rows, columns].map(|&size| (size + block - 1) / block);
                let scales = self.read(&format!("{name}_scale_inv"), &blocks)?;
                let scales = scales.f_to_kind(Kind::Float)?;
                Ok(dequantised(data, &scales, block, shape)?)
            }
            None => Err(shard.wrong_kind(name, info.dtype)),
        }
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

impl Checkpoint for SafetensorsCheckpoint {
    fn configuration(&self) -> Result<Configuration, ModelError> {
        let method = &self.config["quantization_config"]["quant_method"];
        if !method.is_null() && method != "fp8" {
            return Err(ModelError::Unsupported {
                path: self.config_path.clone(),
                field: "quantization_config.quant_method".to_owned(),
                found: method.to_string(),
                supported: "fp8",
            });
        }
        Fields::new(&self.config_path, &self.config).configuration()
    }

    fn config_json(&self) -> Result<Value, ModelError> {
        Ok(self.config.clone())
    }

    fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        self.read(name, shape)
    }

    fn kind(&self) -> Kind {
        // Norms and biases may be of another kind than what the model computes in.
        let embedding = self.places.get("model.embed_tokens.weight");
        let info = embedding.and_then(|(shard, name)| self.shards[*shard].header.info(name));
        info.and_then(|info| kind_of(info.dtype))
            .unwrap_or(Kind::BFloat16)
    }

    fn numbers(&self) -> Vec<(String, u64)> {
        let count = |(shard, name): &(usize, String)| {
            let info = self.shards[*shard].header.info(name);
            info.map_or(0, |info| {
                info.shape.iter().map(|&size| size as u64).product()
            })
        };
        let places = self.places.iter();
        places
            .map(|(name, place)| (name.clone(), count(place)))
            .collect()
    }
}

/// The kinds that need no conversion.
fn kind_of(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        _ => None,
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
        let refused = |source: safetensors::SafeTensorError| ModelError::Safetensors {
            path: path.clone(),
            detail: source.to_string(),
        };
        let (length, header) = SafeTensors::read_metadata(&bytes).map_err(refused)?;
        Ok(Self {
            // The file begins with the length of its header in eight bytes.
            start: 8 + length,
            header,
            path,
            bytes,
        })
    }

    fn tensor(&self, name: &str) -> Result<(&TensorInfo, &[u8]), ModelError> {
        let info = self.header.info(name);
        let data = info.and_then(|info| {
            let (first, end) = info.data_offsets;
            let data = self.bytes.get(self.start..)?.get(first..end)?;
            Some((info, data))
        });
        data.ok_or_else(|| ModelError::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
        })
    }

    fn wrong_kind(&self, tensor: &str, found: Dtype) -> ModelError {
        ModelError::Unsupported {
            path: self.path.clone(),
            field: format!("the type of tensor {tensor}"),
            found: format!("{found:?}"),
            supported: "F32, F16, BF16, F8_E4M3 of two dimensions",
        }
    }
}

/// The weight files of `folder`, each once.
fn shard_paths(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let index_path = folder.join("model.safetensors.index.json");
    if !index_path.is_file() {
        let single = folder.join("model.safetensors");
        return match single.is_file() {
            true => Ok(vec![single]),
            false => Err(no_weights(folder, single)),
        };
    }
    let bytes = std::fs::read(&index_path).map_err(|source| ModelError::Read {
        path: index_path.clone(),
        source,
    })?;
    let shards = shards(&bytes).map_err(|detail| ModelError::Safetensors {
        path: index_path,
        detail,
    })?;
    Ok(shards.iter().map(|name| folder.join(name)).collect())
}

/// What is wrong with a folder that has no safetensors.
fn no_weights(folder: &Path, expected: PathBuf) -> ModelError {
    const PICKLES: [&str; 3] = [
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "consolidated.00.pth",
    ];
    let pickles = PICKLES.iter().map(|name| folder.join(name));
    match pickles.into_iter().find(|path| path.is_file()) {
        // Reading one runs the code in it.
        Some(path) => ModelError::Unsupported {
            path,
            field: "the format of the weights".to_owned(),
            found: "Python's pickle".to_owned(),
            supported: "safetensors",
        },
        None => ModelError::Read {
            path: expected,
            source: std::io::ErrorKind::NotFound.into(),
        },
    }
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
