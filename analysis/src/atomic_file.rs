//! Writing a file so that a reader sees the old one or the whole new one, never a part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file that could not be written; what was there before is untouched.
#[derive(Debug, Error)]
#[error("failed to write {}: {source}", path.display())]
pub struct WriteFileError {
    /// The file asked for.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// Writes `content` beside `path`, syncs it, and renames it into place.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> Result<(), WriteFileError> {
    let failed = |source| WriteFileError {
        path: path.to_owned(),
        source,
    };
    let Some(name) = path.file_name() else {
        return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
    };
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(format!(".{}.{:x}.tmp", std::process::id(), unique()));
    let temporary = path.with_file_name(temporary_name);
    let written = write_new(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        // The file may not exist; the first error is the one worth telling.
        let _ = fs::remove_file(&temporary);
        return Err(failed(source));
    }
    sync_folder(path).map_err(failed)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes the rename itself durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Differs between calls of one process, so that two threads may write the same path.
fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
