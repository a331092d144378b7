//! Files that readers see whole or not at all.
//!
//! Every function writes a temporary file in the same folder (so in the same file system), syncs
//! it, renames it to its final name, and syncs the folder, which makes the rename itself durable.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// The prefix of temporary files; those left by a killed process can be recognised by it.
pub const TEMPORARY_PREFIX: &str = ".offmodel-";

/// Permissions of files created by [`File::create`]; the umask still applies.
const DEFAULT_MODE: u32 = 0o666;

/// Replaces the file at `path` by one that holds `content`.
///
/// # Errors
/// Any error of the file system. The file at `path` is then unchanged.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with(path, |file| file.write_all(content))
}

/// Replaces the file at `path` by one that `fill` writes, for content too large to hold in memory.
///
/// # Errors
/// The error of `fill`, or any error of the file system. The file at `path` is then unchanged.
pub fn write_with<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> Result<(), E>,
) -> Result<(), E> {
    let file = filled_temporary_file(path, DEFAULT_MODE, fill)?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(parent(path))?;
    Ok(())
}

/// Creates a file at `path`, and fails if one exists, even if another machine creates it at the
/// same moment on a shared file system.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], or any other error of the file system.
pub fn create_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = filled_temporary_file(path, DEFAULT_MODE, |file| file.write_all(content))?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    sync_folder(parent(path))
}

/// Writes `content` to `path`, and creates its folder, unless the file holds exactly that already.
/// Returns whether it wrote.
///
/// An unchanged file keeps its modification time, from which Cargo decides what to rebuild. The
/// file is readable by all users, because Jupyter may run as another user than the one who
/// installs the kernel.
///
/// # Errors
/// Any error of the file system. The file at `path` is then unchanged.
pub fn write_if_changed(path: &Path, content: &[u8]) -> io::Result<bool> {
    const READABLE_BY_ALL: u32 = 0o644;
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(false);
    }
    fs::create_dir_all(parent(path))?;
    let file = filled_temporary_file(path, READABLE_BY_ALL, |file| file.write_all(content))?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(parent(path))?;
    Ok(true)
}

/// Checks that files can be created in `folder`, before any work is spent on their content.
///
/// # Errors
/// The kind of the error alone: the system's message would name a temporary file.
pub fn check_writable(folder: &Path) -> io::Result<()> {
    tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .tempfile_in(folder)
        .map(drop)
        .map_err(|error| error.kind().into())
}

/// Makes files created in, renamed in or removed from `folder` durable.
///
/// # Errors
/// Any error of the file system.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder of the file at `path`; the current folder for a bare file name.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A synced temporary file beside `path`. It is deleted when it is dropped.
fn filled_temporary_file<E: From<io::Error>>(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> Result<(), E>,
) -> Result<NamedTempFile, E> {
    if path.file_name().is_none() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
    }
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(parent(path))?;
    let mut buffered = BufWriter::new(file.as_file_mut());
    fill(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let names = fs::read_dir(folder).unwrap().map(name);
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        write(&path, b"first").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["result.json"]);
    }

    #[test]
    fn a_failure_while_writing_leaves_the_old_file_and_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        write(&path, b"old").unwrap();
        let result = write_with(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["result.json"]);
    }

    #[test]
    fn a_folder_in_the_way_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let occupied = folder.path().join("kernel.json");
        fs::create_dir(&occupied).unwrap();
        assert!(write(&occupied, b"{}").is_err());
        assert!(write_if_changed(&occupied, b"{}").is_err());
        assert!(write(Path::new("/"), b"{}").is_err());
        assert_eq!(names(folder.path()), ["kernel.json"]);
    }

    #[test]
    fn only_one_of_two_creators_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runner.json");
        create_new(&path, b"first").unwrap();
        let error = create_new(&path, b"second").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["runner.json"]);
    }

    #[test]
    fn an_unchanged_file_keeps_its_modification_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/kernel.json");
        let modified = || fs::metadata(&path).unwrap().modified().unwrap();
        assert!(write_if_changed(&path, b"{}").unwrap());
        let written = modified();
        assert!(!write_if_changed(&path, b"{}").unwrap());
        assert_eq!(modified(), written);
        assert!(write_if_changed(&path, b"{ }").unwrap());
    }

    #[test]
    fn a_bare_file_name_is_in_the_current_folder() {
        assert_eq!(parent(Path::new("out.ipynb")), Path::new("."));
        assert_eq!(parent(Path::new("runs/out.ipynb")), Path::new("runs"));
    }
}
