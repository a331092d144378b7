//! Writing a file so that a reader sees the old one or the whole new one, never a part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Lets `write` fill a file beside `path`, syncs it, and renames it into place.
///
/// # Errors
/// What `write` or the operating system said; `path` is then as it was.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let written = fill(&temporary, write).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // It may not exist; the first error is the one worth telling.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    // Makes the rename itself durable.
    File::open(folder_of(path))?.sync_all()
}

fn fill(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(OpenOptions::new().write(true).create_new(true).open(path)?);
    write(&mut file)?;
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()
}

/// A name that no other process or thread uses, in the same file system.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    };
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = name.to_string_lossy();
    Ok(folder_of(path).join(format!(".{name}.{}.{number}.tmp", std::process::id())))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
