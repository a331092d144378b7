//! Records as frames.

use std::io::Cursor;

use polars::prelude::{DataFrame, JsonReader, PolarsError, SerReader};
use serde::Serialize;

/// Why records could not become a frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// A frame without rows would have no columns either.
    #[error("failed to make a frame: there are no records")]
    Empty,
    /// A record holds something that has no column type.
    #[error("failed to make a frame of the records")]
    Record(#[from] serde_json::Error),
    /// polars could not read the records.
    #[error("failed to make a frame of the records")]
    Frame(#[from] PolarsError),
}

/// A frame with one row per record and one column per field, in the fields' order: for the
/// samples of an evaluation, the steps of a training, the rows of a style table.
///
/// # Errors
/// When there are no records, or their fields differ in type from row to row.
pub fn frame_of<T: Serialize>(records: &[T]) -> Result<DataFrame, RecordsError> {
    if records.is_empty() {
        return Err(RecordsError::Empty);
    }
    let json = serde_json::to_vec(records)?;
    Ok(JsonReader::new(Cursor::new(json)).finish()?)
}
