//! `[random]`: values drawn from distributions.
//!
//! A value depends only on the seed, the parameter's name and the number of its row. A larger
//! `count` therefore keeps the existing trials, and a further parameter does not change the values
//! of the others.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::factors::Row;
use super::reader::{Entry, Reader, Table, in_file_order};
use super::{Location, ParameterValue, SpecError};

const KEYS: [&str; 3] = ["seed", "count", "draw"];
const DISTRIBUTIONS: [&str; 4] = ["int", "float", "log", "choice"];

/// A larger number of draws is taken for a mistake.
const MAX_DRAWS: usize = 1_000_000;

/// The rows of `[random]`.
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
    if count > MAX_DRAWS {
        return Err(SpecError::TooMany {
            location: reader.location(&entry.span()),
            limit: MAX_DRAWS,
        });
    }
    let distributions = in_file_order(draw)
        .into_iter()
        .map(|(name, value)| {
            let location = reader.location(&value.span());
            Ok((distribution(reader, &name, value)?, name, location))
        })
        .collect::<Result<Vec<(Distribution, String, Location)>, SpecError>>()?;
    Ok((0..count)
        .map(|row| {
            distributions
                .iter()
                .map(|(distribution, name, location)| ParameterValue {
                    name: name.clone(),
                    value: distribution.sample(random_bits(seed, name, row as u64)),
                    location: location.clone(),
                })
                .collect()
        })
        .collect())
}

/// A distribution of values.
enum Distribution {
    /// Uniform over integers, both ends included.
    Int(i64, i64),
    /// Uniform, from the first number to below the second.
    Float(f64, f64),
    /// Log-uniform, from the first number to below the second.
    Log(f64, f64),
    /// Uniform over the values.
    Choice(Vec<Value>),
}

impl Distribution {
    /// The value that 64 uniform random bits select.
    fn sample(&self, bits: u64) -> Value {
        match self {
            Self::Int(low, high) => {
                let size = i128::from(*high) - i128::from(*low) + 1;
                // Lemire's multiplication: the high half of a 128-bit product. Its bias is below
                // size / 2^64.
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

/// A number from 0 to below 1, from the 53 bits that a double can hold.
fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// The first 64 bits of a hash, which are uniform and independent.
fn random_bits(seed: u64, name: &str, row: u64) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(b"offmodel draw 1");
    hasher.update(seed.to_le_bytes());
    hasher.update(row.to_le_bytes());
    hasher.update(name.as_bytes());
    let digest = hasher.finalize();
    digest[..8]
        .iter()
        .fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
}

fn distribution(
    reader: &Reader<'_>,
    name: &str,
    entry: &Entry<'_>,
) -> Result<Distribution, SpecError> {
    let expected = "one of { int = [low, high] }, { float = [low, high] }, { log = [low, high] }, { choice = [...] }";
    let table = reader.as_table(name, entry)?;
    reader.check_keys(table, &DISTRIBUTIONS)?;
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
        return Ok(Distribution::Choice(values));
    }
    let found = match (kind.as_str(), values.as_slice()) {
        ("int", [low, high]) => low
            .as_i64()
            .zip(high.as_i64())
            .filter(|(low, high)| low <= high)
            .map(|(low, high)| Distribution::Int(low, high)),
        (kind, [low, high]) => low
            .as_f64()
            .zip(high.as_f64())
            .filter(|(low, high)| low < high && (kind == "float" || *low > 0.0))
            .map(|(low, high)| match kind {
                "float" => Distribution::Float(low, high),
                _ => Distribution::Log(low, high),
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
