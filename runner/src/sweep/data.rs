//! `data`: the files and folders that the notebook reads.

use toml::de::DeValue;

use super::reader::{Entry, Reader};
use super::{Location, SpecError};

/// An entry of `data`; its content is part of a trial's id.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSource {
    /// How the path is found.
    pub path: DataPath,
    /// Where the entry stands.
    pub location: Location,
}

/// How the sweep file names data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataPath {
    /// The same path in every trial, relative to the notebook's folder.
    Fixed(String),
    /// The value of the named parameter: a path, a list of paths, or `None` for no data.
    Parameter(String),
}

/// The type of an entry, in words.
const EXPECTED: &str = "a path or { parameter = \"name\" }";

/// The entries of `data`.
pub(super) fn data_sources(
    reader: &Reader<'_>,
    entry: &Entry<'_>,
) -> Result<Vec<DataSource>, SpecError> {
    reader
        .list("data", entry)?
        .iter()
        .map(|entry| source(reader, entry))
        .collect()
}

fn source(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<DataSource, SpecError> {
    let wrong = || reader.wrong_type("data", entry, EXPECTED);
    let path = match entry.get_ref() {
        DeValue::String(path) if !path.is_empty() => DataPath::Fixed(path.to_string()),
        DeValue::Table(table) => {
            reader.check_keys(table, &["parameter"])?;
            let (name, _) = reader.string(table, "parameter")?.ok_or_else(wrong)?;
            DataPath::Parameter(name)
        }
        _ => return Err(wrong()),
    };
    Ok(DataSource {
        path,
        location: reader.location(&entry.span()),
    })
}
