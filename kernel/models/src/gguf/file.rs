//! A memory-mapped GGUF file.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::{GgufError, Header, MetadataArray, MetadataValue, TensorInfo};
use crate::ModelError;

/// An open GGUF file. Tensors are dequantised on demand.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    bytes: Mmap,
    header: Header,
}

impl Gguf {
    /// Opens the file and reads its header.
    ///
    /// # Errors
    /// The file cannot be read, or is not a complete GGUF file.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let read_error = |source| ModelError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(read_error)?;
        // SAFETY: the mapping is private and read-only. Model files are published by renaming a
        // finished temporary file and are not rewritten in place; every length is checked against
        // the size of the mapping.
        let bytes = unsafe { Mmap::map(&file) }.map_err(read_error)?;
        let header = Header::parse(&bytes).map_err(|source| ModelError::Gguf {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            header,
        })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Metadata and tensor infos.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The tensor info of `tensor`, if the file has such a tensor.
    pub fn tensor_info(&self, tensor: &str) -> Option<&TensorInfo> {
        self.header.tensor_infos.get(tensor)
    }

    /// Names and tensor infos of all tensors.
    pub fn tensor_infos(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        let infos = self.header.tensor_infos.iter();
        infos.map(|(name, info)| (name.as_str(), info))
    }

    /// The elements of a tensor as `f32`, in the row-major order of [`TensorInfo::shape`].
    ///
    /// # Errors
    /// The file has no such tensor, or its type is not supported.
    pub fn dequantize(&self, tensor: &str) -> Result<Vec<f32>, ModelError> {
        let Some(info) = self.tensor_info(tensor) else {
            return Err(ModelError::MissingTensor {
                path: self.path.clone(),
                tensor: tensor.to_owned(),
            });
        };
        // `Header::parse` has checked that start + bytes lies within the file.
        let data = &self.bytes[info.start as usize..(info.start + info.bytes) as usize];
        let mut elements = Vec::with_capacity(info.shape.iter().product::<i64>() as usize);
        if !info.ggml_type.dequantize(data, &mut elements) {
            return Err(self.error(GgufError::UnsupportedType {
                name: tensor.to_owned(),
                ggml_type: info.ggml_type,
            }));
        }
        Ok(elements)
    }

    /// The string at `key`.
    ///
    /// # Errors
    /// The key is absent or its value is not a string.
    pub fn string(&self, key: &str) -> Result<&str, ModelError> {
        match self.required(key)? {
            MetadataValue::String(text) => Ok(text),
            _ => Err(self.type_error(key, "a string")),
        }
    }

    /// The non-negative integer at `key`.
    ///
    /// # Errors
    /// The key is absent or its value is not a non-negative integer.
    pub fn integer(&self, key: &str) -> Result<u64, ModelError> {
        match *self.required(key)? {
            MetadataValue::Unsigned(value) => Ok(value),
            MetadataValue::Signed(value) if value >= 0 => Ok(value.unsigned_abs()),
            _ => Err(self.type_error(key, "a non-negative integer")),
        }
    }

    /// The float at `key`.
    ///
    /// # Errors
    /// The key is absent or its value is not a float.
    pub fn float(&self, key: &str) -> Result<f64, ModelError> {
        match *self.required(key)? {
            MetadataValue::Float(value) => Ok(value),
            _ => Err(self.type_error(key, "a float")),
        }
    }

    /// The array of strings at `key`.
    ///
    /// # Errors
    /// The key is absent or its value is not an array of strings.
    pub fn strings(&self, key: &str) -> Result<&[String], ModelError> {
        match self.required(key)? {
            MetadataValue::Array(MetadataArray::String(strings)) => Ok(strings),
            _ => Err(self.type_error(key, "an array of strings")),
        }
    }

    /// The metadata value at `key`, if there is one.
    pub fn get(&self, key: &str) -> Option<&MetadataValue> {
        self.header.metadata.get(key)
    }

    fn required(&self, key: &str) -> Result<&MetadataValue, ModelError> {
        self.get(key)
            .ok_or_else(|| self.wrong_metadata(key, "is missing".to_owned()))
    }

    fn type_error(&self, key: &str, expected: &str) -> ModelError {
        self.wrong_metadata(key, format!("expected {expected}"))
    }

    pub(crate) fn wrong_metadata(&self, key: &str, detail: String) -> ModelError {
        self.error(GgufError::Metadata {
            key: key.to_owned(),
            detail,
        })
    }

    fn error(&self, source: GgufError) -> ModelError {
        ModelError::Gguf {
            path: self.path.clone(),
            source,
        }
    }
}
