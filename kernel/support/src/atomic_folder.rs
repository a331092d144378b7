//! Folders that readers see whole or not at all: adapters, checkpoints, saved models.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use thiserror::Error;

use crate::atomic_file::{TEMPORARY_PREFIX, parent, sync_folder};

/// Why a folder could not be written; the folder that was there before is untouched.
#[derive(Debug, Error)]
pub enum WriteFolderError<E> {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The caller's function that writes the files failed.
    #[error("failed to write the folder's files")]
    Fill(#[source] E),
}

impl From<WriteFolderError<io::Error>> for io::Error {
    fn from(error: WriteFolderError<io::Error>) -> Self {
        match error {
            WriteFolderError::Io(error) | WriteFolderError::Fill(error) => error,
        }
    }
}

/// Puts a folder at `path` whose files `fill` writes into the temporary folder that it is given.
///
/// An existing folder is replaced only if `is_ours` accepts the name of everything in it, so that a
/// mistyped path never costs foreign files. Both are checked before `fill` runs, which may take
/// hours, and again before the rename.
///
/// # Errors
/// [`WriteFolderError::Fill`] if `fill` fails; [`WriteFolderError::Io`] if the existing folder
/// holds foreign files or the file system refuses.
pub fn write<E>(
    path: &Path,
    is_ours: impl Fn(&str) -> bool,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), WriteFolderError<E>> {
    if path.file_name().is_none() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
    }
    check_replaceable(path, &is_ours)?;
    let parent = parent(path);
    fs::create_dir_all(parent)?;
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .tempdir_in(parent)?;
    let staged = temporary.path().join("staged");
    fs::create_dir(&staged)?;
    fill(&staged).map_err(WriteFolderError::Fill)?;
    sync_folder(&staged)?;
    publish(&staged, path, &is_ours)?;
    // Holds the replaced folder by now, or nothing.
    temporary.close()?;
    sync_folder(parent)?;
    Ok(())
}

/// Puts a folder at `path` whose files `fill` writes, unless a folder exists there: several processes
/// may create it at the same time, and the first one to finish does. Returns whether this call did.
///
/// # Errors
/// [`WriteFolderError::Fill`] if `fill` fails; [`WriteFolderError::Io`] if the file system refuses.
/// Nothing is left at `path` then.
pub fn create_if_absent<E>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<bool, WriteFolderError<E>> {
    if path.is_dir() {
        return Ok(false);
    }
    let parent = parent(path);
    fs::create_dir_all(parent)?;
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .tempdir_in(parent)?;
    let staged = temporary.path().join("staged");
    fs::create_dir(&staged)?;
    fill(&staged).map_err(WriteFolderError::Fill)?;
    sync_folder(&staged)?;
    match fs::rename(&staged, path) {
        // Another process was faster: a folder cannot be renamed over one that has files.
        Err(_) if path.is_dir() => return Ok(false),
        renamed => renamed?,
    }
    temporary.close()?;
    sync_folder(parent)?;
    Ok(true)
}

/// Returns whether a folder exists at `path`; fails if it holds anything that is not ours.
fn check_replaceable(path: &Path, is_ours: impl Fn(&str) -> bool) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        // The Hugging Face cache consists of links; its folders are never ours.
        let is_link = entry.file_type()?.is_symlink();
        if is_link || !name.to_str().is_some_and(&is_ours) {
            let detail = format!("the folder exists and has {} in it", name.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, detail));
        }
    }
    Ok(true)
}

/// Renames `staged` to `path`; a folder that was there ends up under the name of `staged`.
fn publish(staged: &Path, path: &Path, is_ours: impl Fn(&str) -> bool) -> io::Result<()> {
    if !check_replaceable(path, is_ours)? {
        return fs::rename(staged, path);
    }
    match renameat_with(CWD, staged, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // Network file systems cannot exchange two folders. For a moment there is then no folder
        // at `path`, but never half of one.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            let replaced = staged.with_extension("replaced");
            fs::rename(path, replaced)?;
            fs::rename(staged, path)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let names = fs::read_dir(folder).unwrap().map(name);
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn write_files(path: &Path, files: &[(&str, &str)]) -> Result<(), WriteFolderError<io::Error>> {
        write(
            path,
            |name| ["a", "b"].contains(&name),
            |folder| {
                files.iter().try_for_each(|(name, text)| {
                    let mut file = fs::File::create_new(folder.join(name))?;
                    io::Write::write_all(&mut file, text.as_bytes())
                })
            },
        )
    }

    #[test]
    fn a_folder_is_written_and_replaced_as_a_whole() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("runs").join("adapter");
        write_files(&path, &[("a", "1"), ("b", "2")]).unwrap();
        write_files(&path, &[("a", "3")]).unwrap();
        assert_eq!(names(&path), ["a"]);
        assert_eq!(fs::read(path.join("a")).unwrap(), b"3");
        assert_eq!(names(&room.path().join("runs")), ["adapter"]);
    }

    #[test]
    fn a_failure_while_filling_leaves_what_was_there() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("adapter");
        for expected in [vec![], vec!["adapter"]] {
            // The second file of the same name cannot be created.
            assert!(write_files(&path, &[("a", "1"), ("a", "2")]).is_err());
            assert_eq!(names(room.path()), expected);
            write_files(&path, &[("b", "0")]).unwrap();
        }
        assert_eq!(names(&path), ["b"]);
    }

    #[test]
    fn a_folder_is_created_once() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("cache").join("entry");
        let create = |text: &'static str| {
            create_if_absent(&path, |folder| fs::write(folder.join("a"), text))
        };
        assert!(create("first").unwrap());
        assert!(!create("second").unwrap());
        assert_eq!(fs::read(path.join("a")).unwrap(), b"first");
        assert_eq!(names(&room.path().join("cache")), ["entry"]);
    }

    #[test]
    fn of_two_processes_that_create_a_folder_the_first_to_finish_does() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("entry");
        let slower = create_if_absent(&path, |folder| {
            assert!(
                create_if_absent(&path, |folder| fs::write(folder.join("a"), "faster")).unwrap()
            );
            fs::write(folder.join("a"), "slower")
        });
        assert!(!slower.unwrap());
        assert_eq!(fs::read(path.join("a")).unwrap(), b"faster");
        assert_eq!(names(room.path()), ["entry"]);
    }

    #[test]
    fn foreign_files_links_and_files_in_the_way_stay() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("adapter");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("thesis.tex"), "years of work").unwrap();
        let refusal = || {
            let is_ours = |name: &str| ["a", "b"].contains(&name);
            let fill = |_: &Path| -> io::Result<()> { unreachable!("checked before it is filled") };
            write(&path, is_ours, fill).unwrap_err().to_string()
        };
        assert!(refusal().contains("thesis.tex"), "{}", refusal());
        assert_eq!(names(&path), ["thesis.tex"]);
        assert!(write_files(&path.join("thesis.tex"), &[("a", "1")]).is_err());
        assert_eq!(names(room.path()), ["adapter"]);
        fs::rename(path.join("thesis.tex"), room.path().join("b")).unwrap();
        std::os::unix::fs::symlink(room.path().join("b"), path.join("b")).unwrap();
        assert!(refusal().contains("has b in it"), "{}", refusal());
    }
}
