//! The sections of a sweep file that make trials. Each is a factor: a list of rows, and the
//! trials are all combinations of one row of each.

use toml::Spanned;

use super::random::draws;
use super::reader::{Reader, Table, in_file_order};
use super::{Given, SpecError};

/// The sections, in the order in which they vary: the last one fastest.
pub(super) const SECTIONS: [&str; 5] = ["trials", "grid", "zip", "random", "seeds"];

/// The parameter that `seeds` sets.
const SEED: &str = "seed";

/// More seeds than this are taken for a mistake.
const MOST_SEEDS: usize = 1_000_000;

/// What one row of a section sets.
pub type Row = Vec<Given>;

/// A list of rows, at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    /// The section that it stands in.
    pub section: &'static str,
    /// One per choice.
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
            "trials" => trials(reader, section, entry)?,
            "zip" => zip(reader, reader.as_table(section, entry)?, entry)?,
            "random" => draws(reader, reader.as_table(section, entry)?, entry)?,
            _ => seeds(reader, entry)?,
        };
        factors.push(Factor { section, rows });
    }
    Ok(factors)
}

/// `[[trials]]` or `[[exclude]]`: tables of assignments.
pub(super) fn trials(
    reader: &Reader<'_>,
    section: &str,
    entry: &Spanned<toml::de::DeValue<'_>>,
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

/// Every parameter is a factor of its own.
fn grid(
    reader: &Reader<'_>,
    table: &Table<'_>,
    entry: &Spanned<toml::de::DeValue<'_>>,
) -> Result<Vec<Factor>, SpecError> {
    Ok(columns(reader, "grid", table, entry)?
        .into_iter()
        .map(|values| Factor {
            section: "grid",
            rows: values.into_iter().map(|given| vec![given]).collect(),
        })
        .collect())
}

/// Parameters that vary together: the first values of all, the second values of all, ...
fn zip(
    reader: &Reader<'_>,
    table: &Table<'_>,
    entry: &Spanned<toml::de::DeValue<'_>>,
) -> Result<Vec<Row>, SpecError> {
    let columns = columns(reader, "zip", table, entry)?;
    let length = columns.first().map_or(0, Vec::len);
    if let Some(other) = columns.iter().find(|column| column.len() != length) {
        return Err(SpecError::Lengths {
            place: other[0].place.clone(),
            name: other[0].name.clone(),
            expected: length,
            found: other.len(),
        });
    }
    Ok((0..length)
        .map(|index| columns.iter().map(|column| column[index].clone()).collect())
        .collect())
}

fn columns(
    reader: &Reader<'_>,
    section: &str,
    table: &Table<'_>,
    entry: &Spanned<toml::de::DeValue<'_>>,
) -> Result<Vec<Vec<Given>>, SpecError> {
    if table.is_empty() {
        return Err(reader.empty(section, &entry.span()));
    }
    in_file_order(table)
        .into_iter()
        .map(|(name, value)| {
            let values = reader.list(&name, value)?.iter();
            values.map(|value| reader.given(&name, value)).collect()
        })
        .collect()
}

/// A list of seeds, or how many: 3 means 1, 2 and 3.
fn seeds(
    reader: &Reader<'_>,
    entry: &Spanned<toml::de::DeValue<'_>>,
) -> Result<Vec<Row>, SpecError> {
    let seed = |value| {
        vec![Given {
            name: SEED.to_owned(),
            value,
            place: reader.place(&entry.span()),
        }]
    };
    match reader.json("seeds", entry)? {
        serde_json::Value::Array(values) if !values.is_empty() => {
            Ok(values.into_iter().map(seed).collect())
        }
        serde_json::Value::Array(_) => Err(reader.empty("seeds", &entry.span())),
        value => match value.as_u64().and_then(|count| usize::try_from(count).ok()) {
            Some(0) => Err(reader.empty("seeds", &entry.span())),
            Some(count) if count <= MOST_SEEDS => Ok((1..=count).map(|n| seed(n.into())).collect()),
            _ => Err(reader.wrong_type("seeds", entry, "a list of seeds, or their number")),
        },
    }
}
