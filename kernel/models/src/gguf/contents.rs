//! The header of a GGUF file: everything but the weights themselves.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::{GgmlType, GgufError, MetadataValue, value};

/// Most dimensions of a tensor (`GGML_MAX_DIMS`).
const MOST_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

/// The header of a GGUF file.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Metadata by key.
    pub metadata: BTreeMap<String, MetadataValue>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
}

/// Where a tensor is in the file and what it looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Sizes, slowest first (the file has them the other way round).
    pub shape: Vec<i64>,
    /// How the weights are stored.
    pub encoding: GgmlType,
    /// First byte of the data in the file.
    pub start: u64,
    /// Bytes of the data; 0 where the encoding is unknown.
    pub bytes: u64,
}

impl Header {
    /// Reads the header at the start of `bytes`, the whole file.
    ///
    /// # Errors
    /// When the file is foreign, damaged or truncated, wherever that is.
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
            let value = value::read(&mut cursor, &key)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(GgufError::Metadata {
                    key,
                    detail: "occurs twice".to_owned(),
                });
            }
        }
        let mut described = Vec::new();
        for _ in 0..tensor_count {
            described.push(describe(&mut cursor)?);
        }
        let alignment = alignment(&metadata)?;
        let data_start = (cursor.position() as u64).next_multiple_of(alignment);
        let tensors = place(described, data_start, alignment, bytes.len() as u64)?;
        Ok(Self { metadata, tensors })
    }
}

/// Reads one tensor description; `start` is still relative to the data section.
fn describe(cursor: &mut Cursor) -> Result<(String, TensorInfo), GgufError> {
    let name = cursor.string("tensor name")?;
    let wrong = |detail| GgufError::Tensor {
        name: name.clone(),
        detail,
    };
    let dimensions = cursor.u32(&name)?;
    if dimensions > MOST_DIMENSIONS {
        return Err(wrong(format!(
            "{dimensions} dimensions, the most is {MOST_DIMENSIONS}"
        )));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let size = cursor.u64(&name)?;
        shape.push(i64::try_from(size).map_err(|_| wrong(format!("a dimension of {size}")))?);
    }
    let encoding = GgmlType::of(cursor.u32(&name)?);
    let start = cursor.u64(&name)?;

    let weights = shape
        .iter()
        .try_fold(1_u64, |product, &size| {
            product.checked_mul(size.unsigned_abs())
        })
        .ok_or_else(|| wrong(format!("dimensions {shape:?} overflow")))?;
    let bytes = match encoding.unit() {
        None => 0,
        Some((unit, bytes)) => {
            let row = shape.first().copied().unwrap_or(1).unsigned_abs();
            if !row.is_multiple_of(unit) {
                return Err(wrong(format!(
                    "rows of {row} weights as {encoding} blocks of {unit}"
                )));
            }
            (weights / unit)
                .checked_mul(bytes)
                .ok_or_else(|| wrong(format!("dimensions {shape:?} overflow")))?
        }
    };
    shape.reverse();
    Ok((
        name,
        TensorInfo {
            shape,
            encoding,
            start,
            bytes,
        },
    ))
}

fn alignment(metadata: &BTreeMap<String, MetadataValue>) -> Result<u64, GgufError> {
    const KEY: &str = "general.alignment";
    match metadata.get(KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(&MetadataValue::Unsigned(alignment))
            if alignment.is_power_of_two() && alignment <= 1 << 20 =>
        {
            Ok(alignment)
        }
        Some(other) => Err(GgufError::Metadata {
            key: KEY.to_owned(),
            detail: format!("{other:?} is not a power of two up to 2^20"),
        }),
    }
}

/// Turns relative starts into positions in the file of `size` bytes, all of them inside it.
fn place(
    described: Vec<(String, TensorInfo)>,
    data_start: u64,
    alignment: u64,
    size: u64,
) -> Result<BTreeMap<String, TensorInfo>, GgufError> {
    let mut tensors = BTreeMap::new();
    for (name, mut entry) in described {
        if !entry.start.is_multiple_of(alignment) {
            let detail = format!("offset {} is not a multiple of {alignment}", entry.start);
            return Err(GgufError::Tensor { name, detail });
        }
        entry.start = entry.start.saturating_add(data_start);
        let end = entry.start.saturating_add(entry.bytes);
        if end > size {
            return Err(GgufError::TensorBeyondEnd {
                name,
                start: entry.start,
                end,
                found: size,
            });
        }
        if tensors.insert(name.clone(), entry).is_some() {
            return Err(GgufError::Tensor {
                name,
                detail: "occurs twice".to_owned(),
            });
        }
    }
    Ok(tensors)
}
