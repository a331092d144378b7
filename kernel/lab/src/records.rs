use std::io::Cursor;

use polars::prelude::{DataFrame, JsonReader, PolarsError, SerReader};
use serde::Serialize;

/// Why records could not be converted to a frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// There are no records: a frame without rows would have no columns either.
    #[error("failed to make a frame: there are no records")]
    Empty,
    /// A field of a record has a type for which frames have no column type.
    #[error("failed to make a frame of the records")]
    Record(#[from] serde_json::Error),
    /// polars could not read the records.
    #[error("failed to make a frame of the records")]
    Frame(#[from] PolarsError),
}

/// Converts records to a frame: the samples of an evaluation, the steps of a training run, the rows
/// of a style table. Each record becomes a row; each field becomes a column, in order.
///
/// # Errors
/// When there are no records, or a field's type differs between records.
pub fn frame_of<T: Serialize>(records: &[T]) -> Result<DataFrame, RecordsError> {
    if records.is_empty() {
        return Err(RecordsError::Empty);
    }
    let json = serde_json::to_vec(records)?;
    Ok(JsonReader::new(Cursor::new(json)).finish()?)
}
