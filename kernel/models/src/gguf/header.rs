//! The header of a GGUF file: everything but the tensor data.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::{GgmlType, GgufError, MetadataValue, metadata};

/// `GGML_MAX_DIMS` of llama.cpp.
const MAX_DIMENSIONS: u32 = 4;
/// `GGUF_DEFAULT_ALIGNMENT` of llama.cpp, in bytes.
const DEFAULT_ALIGNMENT: u64 = 32;
/// A larger alignment is taken for damage.
const MAX_ALIGNMENT: u64 = 1 << 20;

/// The header of a GGUF file.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Metadata by key.
    pub metadata: BTreeMap<String, MetadataValue>,
    /// Tensor infos by the tensor's name.
    pub tensor_infos: BTreeMap<String, TensorInfo>,
}

/// The shape and type of a tensor, and where its data is in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Dimensions, slowest first (the file has them in reverse).
    pub shape: Vec<i64>,
    /// How the elements are stored.
    pub ggml_type: GgmlType,
    /// First byte of the data in the file.
    pub start: u64,
    /// Bytes of the data; 0 if the type is unknown.
    pub bytes: u64,
}

impl Header {
    /// Reads the header at the start of `bytes`, the whole file.
    ///
    /// # Errors
    /// The file is not GGUF, or it is damaged or truncated anywhere.
    pub fn parse(bytes: &[u8]) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(bytes);
        let magic = cursor.array("magic")?;
        if &magic != b"GGUF" {
            return Err(GgufError::Magic { found: magic });
        }
        let version = cursor.u32("version")?;
        if !(2..=3).contains(&version) {
            return Err(GgufError::Version { found: version });
        }
        let tensor_count = cursor.u64("tensor count")?;
        let metadata_count = cursor.u64("metadata count")?;

        let mut metadata = BTreeMap::new();
        for _ in 0..metadata_count {
            let key = cursor.string("metadata key")?;
            let value = metadata::read(&mut cursor, &key)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(GgufError::Metadata {
                    key,
                    detail: "occurs twice".to_owned(),
                });
            }
        }
        let mut relative_infos = Vec::new();
        for _ in 0..tensor_count {
            relative_infos.push(read_tensor_info(&mut cursor)?);
        }
        let alignment = alignment(&metadata)?;
        let data_start = (cursor.position() as u64).next_multiple_of(alignment);
        let file_size = bytes.len() as u64;
        let tensor_infos = absolute_infos(relative_infos, data_start, alignment, file_size)?;
        Ok(Self {
            metadata,
            tensor_infos,
        })
    }
}

/// Reads one tensor info, whose `start` is still relative to the tensor data.
fn read_tensor_info(cursor: &mut Cursor) -> Result<(String, TensorInfo), GgufError> {
    let name = cursor.string("tensor name")?;
    let error = |detail| GgufError::Tensor {
        name: name.clone(),
        detail,
    };
    let dimensions = cursor.u32(&name)?;
    if dimensions > MAX_DIMENSIONS {
        return Err(error(format!(
            "{dimensions} dimensions, at most {MAX_DIMENSIONS} are allowed"
        )));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let size = cursor.u64(&name)?;
        shape.push(i64::try_from(size).map_err(|_| error(format!("a dimension of {size}")))?);
    }
    let ggml_type = GgmlType::from_code(cursor.u32(&name)?);
    let start = cursor.u64(&name)?;

    let overflow = || error(format!("dimensions {shape:?} overflow"));
    let elements = shape
        .iter()
        .try_fold(1_u64, |product, &size| {
            product.checked_mul(size.unsigned_abs())
        })
        .ok_or_else(overflow)?;
    let bytes = match ggml_type.block() {
        None => 0,
        Some((block_elements, block_bytes)) => {
            let row = shape.first().copied().unwrap_or(1).unsigned_abs();
            if !row.is_multiple_of(block_elements) {
                return Err(error(format!(
                    "rows of {row} weights as {ggml_type} blocks of {block_elements}"
                )));
            }
            (elements / block_elements)
                .checked_mul(block_bytes)
                .ok_or_else(overflow)?
        }
    };
    shape.reverse();
    let info = TensorInfo {
        shape,
        ggml_type,
        start,
        bytes,
    };
    Ok((name, info))
}

fn alignment(metadata: &BTreeMap<String, MetadataValue>) -> Result<u64, GgufError> {
    const KEY: &str = "general.alignment";
    match metadata.get(KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(&MetadataValue::Unsigned(alignment))
            if alignment.is_power_of_two() && alignment <= MAX_ALIGNMENT =>
        {
            Ok(alignment)
        }
        Some(other) => Err(GgufError::Metadata {
            key: KEY.to_owned(),
            detail: format!("{other} is not a power of two up to 2^20"),
        }),
    }
}

/// Makes the starts of tensors relative to the file, and checks that all data lies within it.
fn absolute_infos(
    relative: Vec<(String, TensorInfo)>,
    data_start: u64,
    alignment: u64,
    file_size: u64,
) -> Result<BTreeMap<String, TensorInfo>, GgufError> {
    let mut infos = BTreeMap::new();
    for (name, mut info) in relative {
        if !info.start.is_multiple_of(alignment) {
            let detail = format!("offset {} is not a multiple of {alignment}", info.start);
            return Err(GgufError::Tensor { name, detail });
        }
        info.start = info.start.saturating_add(data_start);
        let end = info.start.saturating_add(info.bytes);
        if end > file_size {
            return Err(GgufError::TensorBeyondEnd {
                name,
                start: info.start,
                end,
                found: file_size,
            });
        }
        if infos.insert(name.clone(), info).is_some() {
            return Err(GgufError::Tensor {
                name,
                detail: "occurs twice".to_owned(),
            });
        }
    }
    Ok(infos)
}
