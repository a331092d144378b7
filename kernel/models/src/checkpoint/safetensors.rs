//! A checkpoint in a folder of safetensors files.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::Checkpoint;
use super::config_json::ConfigJson;
use super::float8;
use crate::hub::shard_names;
use crate::{Configuration, ModelError};

/// The tensors of a folder with `config.json` and `model.safetensors`, or with the shards that
/// `model.safetensors.index.json` names.
pub(crate) struct SafetensorsCheckpoint {
    config_path: PathBuf,
    config: Value,
    shards: Vec<Shard>,
    /// The index of the shard that holds a tensor, and the tensor's name in the shard, by the name
    /// that the tensor has in a text-only model.
    locations: HashMap<String, (usize, String)>,
}

/// One memory-mapped file. Its header has been checked against the length of the file.
struct Shard {
    path: PathBuf,
    bytes: Mmap,
    header: Metadata,
    /// First byte of the tensor data.
    data_start: usize,
}

/// Prefixes of the text model's tensors in checkpoints of models of text and images (those of
/// `transformers` 4.52 and later, then the older ones), and in text-only models.
const TEXT_MODEL_PREFIXES: [(&str, &str); 3] = [
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
        let mut locations = HashMap::new();
        for (index, shard) in shards.iter().enumerate() {
            for name in shard.header.tensors().into_keys() {
                let prefix = TEXT_MODEL_PREFIXES
                    .iter()
                    .find(|(long, _)| name.starts_with(long));
                let text_name = match prefix {
                    Some((long, short)) => format!("{short}{}", &name[long.len()..]),
                    None => name.clone(),
                };
                locations.insert(text_name, (index, name));
            }
        }
        Ok(Self {
            config_path,
            config,
            shards,
            locations,
        })
    }

    /// Reads the tensor that a text-only model calls `name`.
    fn read(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        let Some((index, full_name)) = self.locations.get(name) else {
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
                let block_size = self.weight_block_size()?;
                let [rows, columns] = shape else {
                    return Err(shard.unsupported_dtype(name, info.dtype));
                };
                let blocks = [rows, columns].map(|&size| (size + block_size - 1) / block_size);
                let scales = self.read(&format!("{name}_scale_inv"), &blocks)?;
                let scales = scales.f_to_kind(Kind::Float)?;
                Ok(float8::dequantize(data, &scales, block_size, shape)?)
            }
            None => Err(shard.unsupported_dtype(name, info.dtype)),
        }
    }

    /// Whether the files hold an output layer that differs from the embedding. `transformers` 5 then
    /// uses it even if the configuration says that the two are tied, as after merging an adapter with
    /// a trained head.
    fn has_own_head(&self) -> Result<bool, ModelError> {
        let tensor = |name: &str| {
            let location = self.locations.get(name);
            let tensor = location.map(|(index, full_name)| self.shards[*index].tensor(full_name));
            tensor.transpose()
        };
        let head = tensor("lm_head.weight")?;
        let embedding = tensor("model.embed_tokens.weight")?;
        Ok(match (head, embedding) {
            (Some((head, head_data)), Some((embedding, embedding_data))) => {
                head.dtype != embedding.dtype
                    || head.shape != embedding.shape
                    || head_data != embedding_data
            }
            _ => false,
        })
    }

    /// Side of the square blocks of elements that share a scale.
    fn weight_block_size(&self) -> Result<i64, ModelError> {
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
        let mut configuration = ConfigJson::new(&self.config_path, &self.config).configuration()?;
        configuration.tie_word_embeddings &= !self.has_own_head()?;
        Ok(configuration)
    }

    fn config_json(&self) -> Result<Value, ModelError> {
        Ok(self.config.clone())
    }

    fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        self.read(name, shape)
    }

    fn kind(&self) -> Kind {
        // The embedding decides: norms and biases may be more exact than the other weights.
        let embedding = self.locations.get("model.embed_tokens.weight");
        let info = embedding.and_then(|(shard, name)| self.shards[*shard].header.info(name));
        info.and_then(|info| kind_of(info.dtype))
            .unwrap_or(Kind::BFloat16)
    }

    fn parameter_counts(&self) -> Vec<(String, u64)> {
        let count = |(shard, name): &(usize, String)| {
            let info = self.shards[*shard].header.info(name);
            info.map_or(0, |info| {
                info.shape.iter().map(|&size| size as u64).product()
            })
        };
        let locations = self.locations.iter();
        locations
            .map(|(name, location)| (name.clone(), count(location)))
            .collect()
    }
}

/// The kind of a data type that needs no conversion; none for other types.
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
        let read_error = |source| ModelError::Read {
            path: path.clone(),
            source,
        };
        let file = File::open(&path).map_err(read_error)?;
        // SAFETY: the mapping is private and read-only. Like every reader of safetensors files, this
        // one relies on no process truncating the file while it is loaded.
        let bytes = unsafe { Mmap::map(&file) }.map_err(read_error)?;
        let format_error = |source: safetensors::SafeTensorError| ModelError::Safetensors {
            path: path.clone(),
            detail: source.to_string(),
        };
        let (length, header) = SafeTensors::read_metadata(&bytes).map_err(format_error)?;
        Ok(Self {
            // The header follows eight bytes that hold its length.
            data_start: 8 + length,
            header,
            path,
            bytes,
        })
    }

    fn tensor(&self, name: &str) -> Result<(&TensorInfo, &[u8]), ModelError> {
        let info = self.header.info(name);
        let data = info.and_then(|info| {
            let (first, end) = info.data_offsets;
            let data = self.bytes.get(self.data_start..)?.get(first..end)?;
            Some((info, data))
        });
        data.ok_or_else(|| ModelError::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
        })
    }

    fn unsupported_dtype(&self, tensor: &str, found: Dtype) -> ModelError {
        ModelError::Unsupported {
            path: self.path.clone(),
            field: format!("the type of tensor {tensor}"),
            found: format!("{found:?}"),
            supported: "F32, F16, BF16, F8_E4M3 of two dimensions",
        }
    }
}

/// The paths of the weight files in `folder`.
///
/// `model.safetensors` comes first, as in `transformers`: an index beside it is left from an earlier
/// save in several files.
fn shard_paths(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index_path = folder.join("model.safetensors.index.json");
    if !index_path.is_file() {
        return Err(no_weights_error(folder, single));
    }
    let bytes = std::fs::read(&index_path).map_err(|source| ModelError::Read {
        path: index_path.clone(),
        source,
    })?;
    let names = shard_names(&bytes).map_err(|detail| ModelError::Safetensors {
        path: index_path,
        detail,
    })?;
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// The error for a folder without safetensors files.
fn no_weights_error(folder: &Path, expected: PathBuf) -> ModelError {
    const PICKLES: [&str; 3] = [
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "consolidated.00.pth",
    ];
    let pickles = PICKLES.iter().map(|name| folder.join(name));
    match pickles.into_iter().find(|path| path.is_file()) {
        // Unpickling runs code in the file, so such weights are never read.
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

/// Reads a JSON file of a checkpoint.
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
