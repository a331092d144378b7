//! Writing files with the path in the error.

use std::io;
use std::path::Path;

use offmodel_support::atomic_file;
use serde::Serialize;

use crate::error::RunnerError;

/// Replaces the file at `path`, so that readers see the old content or the new one.
///
/// # Errors
/// [`RunnerError::Write`]; the file is then unchanged.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), RunnerError> {
    atomic_file::write(path, content).map_err(|source| failed_to_write(path, source))
}

/// Checks that files can be created in `folder`, before any work is spent on their content.
///
/// # Errors
/// [`RunnerError::Write`].
pub fn check_writable(folder: &Path) -> Result<(), RunnerError> {
    atomic_file::check_writable(folder).map_err(|source| failed_to_write(folder, source))
}

/// Writes a record as indented JSON that ends with a newline.
pub(super) fn write_json(path: &Path, record: &impl Serialize) -> Result<(), RunnerError> {
    let text = json_text(record).map_err(|source| failed_to_write(path, source))?;
    write_atomically(path, &text)
}

/// A record as indented JSON that ends with a newline.
pub(super) fn json_text(record: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(record)?;
    text.push(b'\n');
    Ok(text)
}

/// The error for a file or folder that the system does not let us write.
pub(super) fn failed_to_write(path: &Path, source: io::Error) -> RunnerError {
    RunnerError::Write {
        path: path.to_owned(),
        source,
    }
}
