use toml::de::DeValue;

use super::reader::{Entry, Reader};
use super::{Place, SpecError};

/// Files and folders that the notebook reads: their content is part of a trial's identity.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSource {
    /// Where it is named.
    pub path: DataPath,
    /// Where that stands.
    pub place: Place,
}

/// How the sweep file names data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataPath {
    /// A path, the same in every trial, as the notebook's cells would name it: relative to the
    /// notebook's folder.
    Fixed(String),
    /// The value of this parameter: a path, a list of paths, or `None` for no data.
    Parameter(String),
}

/// What `data` may hold, in words.
const EXPECTED: &str = "a path or { parameter = \"name\" }";

/// The entries of `data`.
pub(super) fn data(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Vec<DataSource>, SpecError> {
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
        place: reader.place(&entry.span()),
    })
}
