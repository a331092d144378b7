//! The sections of a sweep file that vary parameters.
//!
//! Each section is a factor, a list of rows; the trials are all combinations of one row of each. In
//! `[grid]`, every parameter is a factor of its own.

use super::random::draws;
use super::reader::{Entry, Reader, Table, in_file_order};
use super::{ParameterValue, SpecError};

/// The sections from the slowest to the fastest varying one.
pub(super) const SECTIONS: [&str; 5] = ["trials", "grid", "zip", "random", "seeds"];

/// The parameter that `seeds` sets.
const SEED: &str = "seed";

/// A larger number of seeds is taken for a mistake.
const MAX_SEEDS: usize = 1_000_000;

/// The values that one row of a section sets.
pub type Row = Vec<ParameterValue>;

/// A section that varies parameters, or one parameter of `[grid]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    /// The name of the section.
    pub section: &'static str,
    /// The choices, at least one.
    pub rows: Vec<Row>,
}

/// All factors of a sweep file.
pub(super) fn factors(reader: &Reader<'_>, table: &Table<'_>) -> Result<Vec<Factor>, SpecError> {
    let mut factors = Vec::new();
    for section in SECTIONS {
        let Some(entry) = table.get(section) else {
            continue;
        };
        let rows = match section {
            "grid" => {
                factors.extend(grid(reader, reader.as_table(section, entry)?, entry)?);
                continue;
            }
            "trials" => rows(reader, section, entry)?,
            "zip" => zip(reader, reader.as_table(section, entry)?, entry)?,
            "random" => draws(reader, reader.as_table(section, entry)?, entry)?,
            _ => seeds(reader, entry)?,
        };
        factors.push(Factor { section, rows });
    }
    Ok(factors)
}

/// The rows of `[[trials]]` or `[[exclude]]`.
pub(super) fn rows(
    reader: &Reader<'_>,
    section: &str,
    entry: &Entry<'_>,
) -> Result<Vec<Row>, SpecError> {
    reader
        .list(section, entry)?
        .iter()
        .map(|row| {
            let row_table = reader.as_table(section, row)?;
            if section == "exclude" && row_table.is_empty() {
                return Err(reader.empty(section, &row.span()));
            }
            reader.assignments(row_table)
        })
        .collect()
}

/// The factors of `[grid]`: one per parameter.
fn grid(
    reader: &Reader<'_>,
    table: &Table<'_>,
    entry: &Entry<'_>,
) -> Result<Vec<Factor>, SpecError> {
    Ok(columns(reader, "grid", table, entry)?
        .into_iter()
        .map(|values| Factor {
            section: "grid",
            rows: values.into_iter().map(|value| vec![value]).collect(),
        })
        .collect())
}

/// The rows of `[zip]`: the first values of all parameters, then the second values, ...
fn zip(reader: &Reader<'_>, table: &Table<'_>, entry: &Entry<'_>) -> Result<Vec<Row>, SpecError> {
    let columns = columns(reader, "zip", table, entry)?;
    let length = columns.first().map_or(0, Vec::len);
    if let Some(other) = columns.iter().find(|column| column.len() != length) {
        return Err(SpecError::Lengths {
            location: other[0].location.clone(),
            name: other[0].name.clone(),
            expected: length,
            found: other.len(),
        });
    }
    Ok((0..length)
        .map(|index| columns.iter().map(|column| column[index].clone()).collect())
        .collect())
}

/// The lists of `[grid]` or `[zip]`.
fn columns(
    reader: &Reader<'_>,
    section: &str,
    table: &Table<'_>,
    entry: &Entry<'_>,
) -> Result<Vec<Vec<ParameterValue>>, SpecError> {
    if table.is_empty() {
        return Err(reader.empty(section, &entry.span()));
    }
    in_file_order(table)
        .into_iter()
        .map(|(name, value)| {
            let values = reader.list(&name, value)?.iter();
            values
                .map(|value| reader.parameter_value(&name, value))
                .collect()
        })
        .collect()
}

/// The rows of `seeds`: a list, or a number, where 3 means 1, 2 and 3.
fn seeds(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Vec<Row>, SpecError> {
    let seed = |value| {
        vec![ParameterValue {
            name: SEED.to_owned(),
            value,
            location: reader.location(&entry.span()),
        }]
    };
    match reader.json("seeds", entry)? {
        serde_json::Value::Array(values) if !values.is_empty() => {
            Ok(values.into_iter().map(seed).collect())
        }
        serde_json::Value::Array(_) => Err(reader.empty("seeds", &entry.span())),
        value => match value.as_u64().and_then(|count| usize::try_from(count).ok()) {
            Some(0) => Err(reader.empty("seeds", &entry.span())),
            Some(count) if count <= MAX_SEEDS => Ok((1..=count).map(|n| seed(n.into())).collect()),
            _ => Err(reader.wrong_type("seeds", entry, "a list of seeds, or how many")),
        },
    }
}
