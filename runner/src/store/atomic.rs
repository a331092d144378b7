use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::error::RunnerError;

/// Writes a file whole: beside its name, synced, renamed, the rename synced.
///
/// # Errors
/// When any of that fails; what was there before is untouched.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), RunnerError> {
    write(path, content).map_err(|source| RunnerError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Finds out, before anything costs time, whether files can be created in a folder.
///
/// # Errors
/// When they cannot.
pub fn check_writable(folder: &Path) -> Result<(), RunnerError> {
    tempfile::Builder::new()
        .prefix(".offmodel-")
        .tempfile_in(folder)
        .map(drop)
        // The kind alone: the system's words name the temporary file.
        .map_err(|error| RunnerError::Write {
            path: folder.to_owned(),
            source: error.kind().into(),
        })
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = parent(path);
    let mut file = tempfile::Builder::new()
        .prefix(".offmodel-")
        // As files created otherwise; the umask still applies.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// The folder of a file; the current folder for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
