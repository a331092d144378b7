//! `[random]`: values drawn from ranges.
//!
//! Every value depends on the seed, its parameter's name and its row's number alone. So a larger
//! `count` keeps the trials that there were, and another parameter leaves the others' values.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::factor::Row;
use super::reader::{Entry, Reader, Table, in_file_order};
use super::{Given, Place, SpecError};

const KEYS: [&str; 3] = ["seed", "count", "draw"];
const RANGES: [&str; 4] = ["int", "float", "log", "choice"];

/// More draws than this are taken for a mistake.
const MOST: usize = 1_000_000;

/// The rows of the section.
pub(super) fn draws(
    reader: &Reader<'_>,
    table: &Table<'_>,
    entry: &Entry<'_>,
) -> Result<Vec<Row>, SpecError> {
    reader.check_keys(table, &KEYS)?;
    let seed = reader.count(table, "seed")?.unwrap_or(0) as u64;
    let count = reader
        .count(table, "count")?
        .ok_or_else(|| reader.missing("random.count"))?;
    let draw = reader
        .table(table, "draw")?
        .ok_or_else(|| reader.missing("random.draw"))?;
    if count == 0 || draw.is_empty() {
        return Err(reader.empty("random", &entry.span()));
    }
    if count > MOST {
        return Err(SpecError::TooMany {
            place: reader.place(&entry.span()),
            limit: MOST,
        });
    }
    let ranges = in_file_order(draw)
        .into_iter()
        .map(|(name, value)| {
            let place = reader.place(&value.span());
            Ok((range(reader, &name, value)?, name, place))
        })
        .collect::<Result<Vec<(Range, String, Place)>, SpecError>>()?;
    Ok((0..count)
        .map(|row| {
            ranges
                .iter()
                .map(|(range, name, place)| Given {
                    name: name.clone(),
                    value: range.at(bits(seed, name, row as u64)),
                    place: place.clone(),
                })
                .collect()
        })
        .collect())
}

/// What a value is drawn from, with equal chances.
enum Range {
    /// Both ends included.
    Int(i64, i64),
    /// From the first to below the second.
    Float(f64, f64),
    /// The same, uniform in the logarithm.
    Log(f64, f64),
    Choice(Vec<Value>),
}

impl Range {
    /// The value for 64 random bits.
    fn at(&self, bits: u64) -> Value {
        match self {
            Self::Int(low, high) => {
                let size = i128::from(*high) - i128::from(*low) + 1;
                // The high half of a 128-bit product: no modulo, whose bias is larger.
                let step = (i128::from(bits) * size) >> 64;
                i64::try_from(i128::from(*low) + step).map_or(Value::from(*high), Value::from)
            }
            Self::Float(low, high) => Value::from(low + (high - low) * fraction(bits)),
            Self::Log(low, high) => {
                let exponent = low.ln() + (high.ln() - low.ln()) * fraction(bits);
                Value::from(exponent.exp())
            }
            Self::Choice(values) => {
                let index = (u128::from(bits) * values.len() as u128) >> 64;
                usize::try_from(index)
                    .ok()
                    .and_then(|index| values.get(index))
                    .cloned()
                    .unwrap_or_default()
            }
        }
    }
}

/// From 0 to below 1, with the 53 bits of a double.
fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

fn bits(seed: u64, name: &str, row: u64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"offmodel draw 1");
    hash.update(seed.to_le_bytes());
    hash.update(row.to_le_bytes());
    hash.update(name.as_bytes());
    let digest = hash.finalize();
    digest[..8]
        .iter()
        .fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
}

fn range(reader: &Reader<'_>, name: &str, entry: &Entry<'_>) -> Result<Range, SpecError> {
    let expected = "one of { int = [low, high] }, { float = [low, high] }, { log = [low, high] }, { choice = [...] }";
    let table = reader.as_table(name, entry)?;
    reader.check_keys(table, &RANGES)?;
    let Some((kind, value)) = in_file_order(table)
        .into_iter()
        .next()
        .filter(|_| table.len() == 1)
    else {
        return Err(reader.wrong_type(name, entry, expected));
    };
    let values = reader
        .list(name, value)?
        .iter()
        .map(|value| reader.json(name, value))
        .collect::<Result<Vec<_>, _>>()?;
    if kind == "choice" {
        return Ok(Range::Choice(values));
    }
    let found = match (kind.as_str(), values.as_slice()) {
        ("int", [low, high]) => low
            .as_i64()
            .zip(high.as_i64())
            .filter(|(low, high)| low <= high)
            .map(|(low, high)| Range::Int(low, high)),
        (kind, [low, high]) => low
            .as_f64()
            .zip(high.as_f64())
            .filter(|(low, high)| low < high && (kind == "float" || *low > 0.0))
            .map(|(low, high)| match kind {
                "float" => Range::Float(low, high),
                _ => Range::Log(low, high),
            }),
        _ => None,
    };
    found.ok_or_else(|| {
        let expected = match kind.as_str() {
            "int" => "two integers, the lower one first",
            "float" => "two numbers, the lower one first",
            _ => "two positive numbers, the lower one first",
        };
        reader.wrong_type(name, value, expected)
    })
}
