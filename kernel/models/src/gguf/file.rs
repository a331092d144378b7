//! A memory-mapped GGUF file.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::{GgufError, Header, MetadataArray, MetadataValue, TensorInfo};
use crate::ModelError;

/// An open GGUF file. Weights are decoded when they are asked for.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    bytes: Mmap,
    contents: Header,
}

impl Gguf {
    /// Opens the file and reads its header.
    ///
    /// # Errors
    /// When it cannot be read, or is not a complete GGUF file.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let unreadable = |source| ModelError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        // SAFETY: the mapping is private and read-only. Model files are published by renaming a
        // finished temporary file and are not rewritten in place; every length is checked against
        // the size of the mapping.
        let bytes = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        let contents = Header::parse(&bytes).map_err(|source| ModelError::Gguf {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            contents,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Metadata and tensor descriptions.
    pub fn contents(&self) -> &Header {
        &self.contents
    }

    /// The description of a tensor, if the file has it.
    pub fn tensor_info(&self, tensor: &str) -> Option<&TensorInfo> {
        self.contents.tensors.get(tensor)
    }

    /// Names and descriptions of all tensors.
    pub fn tensor_infos(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        let entries = self.contents.tensors.iter();
        entries.map(|(name, entry)| (name.as_str(), entry))
    }

    /// The weights of a tensor as `f32`, in row-major order of [`TensorInfo::shape`].
    ///
    /// # Errors
    /// When the file has no such tensor or its encoding is not supported.
    pub fn dequantize(&self, tensor: &str) -> Result<Vec<f32>, ModelError> {
        let Some(entry) = self.tensor_info(tensor) else {
            return Err(ModelError::MissingTensor {
                path: self.path.clone(),
                tensor: tensor.to_owned(),
            });
        };
        // `Header::parse` has checked that start + bytes lies within the file.
        let data = &self.bytes[entry.start as usize..(entry.start + entry.bytes) as usize];
        let mut weights = Vec::with_capacity(entry.shape.iter().product::<i64>() as usize);
        if !entry.encoding.decode(data, &mut weights) {
            return Err(self.wrong(GgufError::GgmlType {
                name: tensor.to_owned(),
                encoding: entry.encoding,
            }));
        }
        Ok(weights)
    }

    /// The text under `key`.
    ///
    /// # Errors
    /// When the key is absent or not text.
    pub fn string(&self, key: &str) -> Result<&str, ModelError> {
        match self.value(key)? {
            MetadataValue::String(text) => Ok(text),
            _ => Err(self.mistyped(key, "a string")),
        }
    }

    /// The non-negative integer under `key`.
    ///
    /// # Errors
    /// When the key is absent or not such an integer.
    pub fn integer(&self, key: &str) -> Result<u64, ModelError> {
        match *self.value(key)? {
            MetadataValue::Unsigned(value) => Ok(value),
            MetadataValue::Signed(value) if value >= 0 => Ok(value.unsigned_abs()),
            _ => Err(self.mistyped(key, "a non-negative integer")),
        }
    }

    /// The number under `key`.
    ///
    /// # Errors
    /// When the key is absent or not a float.
    pub fn float(&self, key: &str) -> Result<f64, ModelError> {
        match *self.value(key)? {
            MetadataValue::Float(value) => Ok(value),
            _ => Err(self.mistyped(key, "a float")),
        }
    }

    /// The strings under `key`.
    ///
    /// # Errors
    /// When the key is absent or not an array of strings.
    pub fn strings(&self, key: &str) -> Result<&[String], ModelError> {
        match self.value(key)? {
            MetadataValue::Array(MetadataArray::String(strings)) => Ok(strings),
            _ => Err(self.mistyped(key, "an array of strings")),
        }
    }

    /// The value under `key`, if there is one.
    pub fn get(&self, key: &str) -> Option<&MetadataValue> {
        self.contents.metadata.get(key)
    }

    fn value(&self, key: &str) -> Result<&MetadataValue, ModelError> {
        self.get(key)
            .ok_or_else(|| self.wrong_metadata(key, "is missing".to_owned()))
    }

    fn mistyped(&self, key: &str, expected: &str) -> ModelError {
        self.wrong_metadata(key, format!("expected {expected}"))
    }

    pub(crate) fn wrong_metadata(&self, key: &str, detail: String) -> ModelError {
        self.wrong(GgufError::Metadata {
            key: key.to_owned(),
            detail,
        })
    }

    fn wrong(&self, source: GgufError) -> ModelError {
        ModelError::Gguf {
            path: self.path.clone(),
            source,
        }
    }
}
