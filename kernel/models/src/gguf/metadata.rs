//! The metadata values of a GGUF file.

use super::GgufError;
use super::cursor::Cursor;

/// The format allows arrays of arrays; deeper ones than this are taken for damage, because reading
/// them could overflow the stack.
const MAX_ARRAY_DEPTH: usize = 4;
/// The bytes of an empty array: element type and length.
const MIN_ARRAY_BYTES: u64 = 12;
/// The code of `GGUF_METADATA_VALUE_TYPE_ARRAY`.
const ARRAY_TYPE: u32 = 9;

/// A metadata value. Numbers of every width are widened to 64 bits.
#[derive(Debug, Clone, PartialEq)]
pub enum MetadataValue {
    /// `uint8` to `uint64`.
    Unsigned(u64),
    /// `int8` to `int64`.
    Signed(i64),
    /// `float32` and `float64`.
    Float(f64),
    /// `bool`.
    Bool(bool),
    /// UTF-8 text.
    String(String),
    /// Values of one type.
    Array(MetadataArray),
}

impl std::fmt::Display for MetadataValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Unsigned(value) => write!(formatter, "{value}"),
            Self::Signed(value) => write!(formatter, "{value}"),
            Self::Float(value) => write!(formatter, "{value}"),
            Self::Bool(value) => write!(formatter, "{value}"),
            Self::String(value) => write!(formatter, "{value:?}"),
            Self::Array(_) => formatter.write_str("an array"),
        }
    }
}

/// The elements of an array value.
#[derive(Debug, Clone, PartialEq)]
pub enum MetadataArray {
    /// Unsigned integers.
    Unsigned(Vec<u64>),
    /// Signed integers.
    Signed(Vec<i64>),
    /// Floats.
    Float(Vec<f64>),
    /// Booleans.
    Bool(Vec<bool>),
    /// Strings.
    String(Vec<String>),
    /// Arrays.
    Array(Vec<MetadataArray>),
}

/// Reads the value of `key`: a type code, then the value.
pub(super) fn read(cursor: &mut Cursor, key: &str) -> Result<MetadataValue, GgufError> {
    let code = cursor.u32(key)?;
    if code == ARRAY_TYPE {
        let array = read_array(cursor, key, MAX_ARRAY_DEPTH)?;
        return Ok(MetadataValue::Array(array));
    }
    Ok(match ScalarType::from_code(code, key)? {
        ScalarType::Unsigned(width) => MetadataValue::Unsigned(unsigned(cursor, width, key)?),
        ScalarType::Signed(width) => MetadataValue::Signed(signed(cursor, width, key)?),
        ScalarType::Float(width) => MetadataValue::Float(float(cursor, width, key)?),
        ScalarType::Bool => MetadataValue::Bool(boolean(cursor, key)?),
        ScalarType::String => MetadataValue::String(cursor.string(key)?),
    })
}

fn read_array(cursor: &mut Cursor, key: &str, depth: usize) -> Result<MetadataArray, GgufError> {
    if depth == 0 {
        return Err(GgufError::Metadata {
            key: key.to_owned(),
            detail: format!("arrays nested deeper than {MAX_ARRAY_DEPTH}"),
        });
    }
    let code = cursor.u32(key)?;
    let count = cursor.u64(key)?;
    if code == ARRAY_TYPE {
        let count = checked_count(cursor, count, MIN_ARRAY_BYTES, key)?;
        let arrays = collect(count, || read_array(cursor, key, depth - 1))?;
        return Ok(MetadataArray::Array(arrays));
    }
    let scalar = ScalarType::from_code(code, key)?;
    let count = checked_count(cursor, count, scalar.min_bytes(), key)?;
    Ok(match scalar {
        ScalarType::Unsigned(width) => {
            MetadataArray::Unsigned(collect(count, || unsigned(cursor, width, key))?)
        }
        ScalarType::Signed(width) => {
            MetadataArray::Signed(collect(count, || signed(cursor, width, key))?)
        }
        ScalarType::Float(width) => {
            MetadataArray::Float(collect(count, || float(cursor, width, key))?)
        }
        ScalarType::Bool => MetadataArray::Bool(collect(count, || boolean(cursor, key))?),
        ScalarType::String => MetadataArray::String(collect(count, || cursor.string(key))?),
    })
}

/// Fails unless `count` elements of at least `min_bytes` each fit into the rest of the file.
fn checked_count(
    cursor: &Cursor,
    count: u64,
    min_bytes: u64,
    key: &str,
) -> Result<usize, GgufError> {
    cursor.require(count.saturating_mul(min_bytes), key)?;
    Ok(count as usize)
}

fn collect<T>(
    count: usize,
    mut next: impl FnMut() -> Result<T, GgufError>,
) -> Result<Vec<T>, GgufError> {
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(next()?);
    }
    Ok(values)
}

/// A scalar `gguf_metadata_value_type`; numbers carry their width in bytes.
#[derive(Clone, Copy)]
enum ScalarType {
    Unsigned(u64),
    Signed(u64),
    Float(u64),
    Bool,
    String,
}

impl ScalarType {
    fn from_code(code: u32, key: &str) -> Result<Self, GgufError> {
        Ok(match code {
            0 => Self::Unsigned(1),
            1 => Self::Signed(1),
            2 => Self::Unsigned(2),
            3 => Self::Signed(2),
            4 => Self::Unsigned(4),
            5 => Self::Signed(4),
            6 => Self::Float(4),
            7 => Self::Bool,
            8 => Self::String,
            10 => Self::Unsigned(8),
            11 => Self::Signed(8),
            12 => Self::Float(8),
            _ => {
                return Err(GgufError::Metadata {
                    key: key.to_owned(),
                    detail: format!("unknown value type {code}"),
                });
            }
        })
    }

    /// The fewest bytes that a value of this type takes in the file.
    fn min_bytes(self) -> u64 {
        match self {
            Self::Unsigned(width) | Self::Signed(width) | Self::Float(width) => width,
            Self::Bool => 1,
            // The length of an empty string.
            Self::String => 8,
        }
    }
}

fn unsigned(cursor: &mut Cursor, width: u64, key: &str) -> Result<u64, GgufError> {
    let mut bytes = [0; 8];
    bytes[..width as usize].copy_from_slice(cursor.take(width, key)?);
    Ok(u64::from_le_bytes(bytes))
}

fn signed(cursor: &mut Cursor, width: u64, key: &str) -> Result<i64, GgufError> {
    let unused_bits = 64 - 8 * width as u32;
    // Shifting left and back right extends the sign.
    Ok((unsigned(cursor, width, key)? << unused_bits).cast_signed() >> unused_bits)
}

fn float(cursor: &mut Cursor, width: u64, key: &str) -> Result<f64, GgufError> {
    Ok(match width {
        4 => f64::from(f32::from_le_bytes(cursor.array(key)?)),
        _ => f64::from_le_bytes(cursor.array(key)?),
    })
}

fn boolean(cursor: &mut Cursor, key: &str) -> Result<bool, GgufError> {
    Ok(cursor.array::<1>(key)? != [0])
}
