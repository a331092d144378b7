//! Writes a model or an adapter as a folder that readers see whole or not at all.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use offmodel_support::atomic_folder::{self, WriteFolderError};

use crate::ModelError;

/// Puts a folder at `path` whose files `fill` writes into the temporary folder that it is given.
///
/// An existing folder is replaced only if `is_ours` accepts every name in it.
pub(crate) fn write_folder(
    path: &Path,
    is_ours: impl Fn(&str) -> bool,
    fill: impl FnOnce(&Path) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    atomic_folder::write(path, is_ours, fill).map_err(|error| match error {
        WriteFolderError::Fill(error) => error,
        WriteFolderError::Io(source) => ModelError::Write {
            path: path.to_owned(),
            source,
        },
    })
}

/// Writes and syncs a new file in a folder that is being filled.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), ModelError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|source| ModelError::Write {
        path: path.to_owned(),
        source,
    })
}
