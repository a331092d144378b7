//! Metadata values of a GGUF file.

use super::GgufError;
use super::cursor::Cursor;

/// Arrays of arrays are allowed by the format; nobody writes them deeper than this.
const DEEPEST_ARRAY: usize = 4;

/// A metadata value. Integers of every width are widened.
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
    if code == ARRAY {
        return Ok(MetadataValue::Array(read_array(
            cursor,
            key,
            DEEPEST_ARRAY,
        )?));
    }
    Ok(match Kind::of(code, key)? {
        Kind::Unsigned(width) => MetadataValue::Unsigned(unsigned(cursor, width, key)?),
        Kind::Signed(width) => MetadataValue::Signed(signed(cursor, width, key)?),
        Kind::Float(width) => MetadataValue::Float(float(cursor, width, key)?),
        Kind::Bool => MetadataValue::Bool(boolean(cursor, key)?),
        Kind::String => MetadataValue::String(cursor.string(key)?),
    })
}

fn read_array(cursor: &mut Cursor, key: &str, deepest: usize) -> Result<MetadataArray, GgufError> {
    if deepest == 0 {
        return Err(GgufError::Metadata {
            key: key.to_owned(),
            detail: format!("arrays nested deeper than {DEEPEST_ARRAY}"),
        });
    }
    let code = cursor.u32(key)?;
    let count = cursor.u64(key)?;
    if code == ARRAY {
        // An array takes at least its element type and its length.
        let count = fitting(cursor, count, 12, key)?;
        return Ok(MetadataArray::Array(collect(count, || {
            read_array(cursor, key, deepest - 1)
        })?));
    }
    let kind = Kind::of(code, key)?;
    let count = fitting(cursor, count, kind.least_bytes(), key)?;
    Ok(match kind {
        Kind::Unsigned(width) => {
            MetadataArray::Unsigned(collect(count, || unsigned(cursor, width, key))?)
        }
        Kind::Signed(width) => {
            MetadataArray::Signed(collect(count, || signed(cursor, width, key))?)
        }
        Kind::Float(width) => MetadataArray::Float(collect(count, || float(cursor, width, key))?),
        Kind::Bool => MetadataArray::Bool(collect(count, || boolean(cursor, key))?),
        Kind::String => MetadataArray::String(collect(count, || cursor.string(key))?),
    })
}

/// `count` as a usize, once that many elements of at least `width` bytes fit into the rest.
fn fitting(cursor: &Cursor, count: u64, width: u64, key: &str) -> Result<usize, GgufError> {
    cursor.require(count.saturating_mul(width), key)?;
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

const ARRAY: u32 = 9;

/// A scalar type; numbers carry their width in bytes.
#[derive(Clone, Copy)]
enum Kind {
    Unsigned(u64),
    Signed(u64),
    Float(u64),
    Bool,
    String,
}

impl Kind {
    fn of(code: u32, key: &str) -> Result<Self, GgufError> {
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

    /// The fewest bytes a value of this type takes in the file.
    fn least_bytes(self) -> u64 {
        match self {
            Self::Unsigned(width) | Self::Signed(width) | Self::Float(width) => width,
            Self::Bool => 1,
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
    // Shifting up and back down extends the sign.
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
