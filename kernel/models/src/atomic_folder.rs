//! Writing a folder so that a reader sees the old one or the whole new one, never a part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::ModelError;

/// Puts a folder at `path` that `fill` has written somewhere else. A folder that is there is
/// replaced if every name in it `is_ours`.
pub(crate) fn write_folder(
    path: &Path,
    is_ours: impl Fn(&str) -> bool,
    fill: impl FnOnce(&Path) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    let failed = |source| ModelError::Write {
        path: path.to_owned(),
        source,
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Before hours of writing, and again when it is done.
    check_replaceable(path, &is_ours).map_err(failed)?;
    fs::create_dir_all(parent).map_err(failed)?;
    let temporary = temporary_beside(path, parent).map_err(failed)?;
    fs::create_dir(&temporary).map_err(failed)?;
    let written = fill(&temporary).and_then(|()| {
        File::open(&temporary)
            .and_then(|folder| folder.sync_all())
            .and_then(|()| publish(&temporary, path, &is_ours))
            .map_err(failed)
    });
    // What is left of it after a failure, or the folder that was replaced.
    let removed = match fs::remove_dir_all(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    };
    written.and(removed)?;
    // Makes the rename itself durable.
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(failed)
}

/// Writes a new file of a folder that is being filled.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), ModelError> {
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    written().map_err(|source| ModelError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Whether there is a folder at `path`. Fails if there is anything that is not ours.
fn check_replaceable(path: &Path, is_ours: impl Fn(&str) -> bool) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        // The Hugging Face cache links to its files.
        let is_link = entry.file_type()?.is_symlink();
        if is_link || !name.to_str().is_some_and(&is_ours) {
            let detail = format!("the folder exists and has {} in it", name.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, detail));
        }
    }
    Ok(true)
}

fn publish(new: &Path, path: &Path, is_ours: impl Fn(&str) -> bool) -> io::Result<()> {
    if !check_replaceable(path, is_ours)? {
        return fs::rename(new, path);
    }
    match renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // Network file systems cannot exchange: for a moment there is no folder, but never half one.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            let aside = new.with_extension("old");
            fs::rename(path, &aside)?;
            fs::rename(new, path)?;
            fs::remove_dir_all(aside)
        }
        Err(error) => Err(error.into()),
    }
}

/// A name that no other process or thread uses, in the same file system.
fn temporary_beside(path: &Path, parent: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = name.to_string_lossy();
    Ok(parent.join(format!(".{name}.{}.{number}.tmp", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = entries
            .map(name)
            .map(|name| name.into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn write(path: &Path, files: &[(&str, &str)]) -> Result<(), ModelError> {
        write_folder(
            path,
            |name| ["a", "b"].contains(&name),
            |folder| {
                let mut files = files.iter();
                files.try_for_each(|(name, text)| write_file(&folder.join(name), text.as_bytes()))
            },
        )
    }

    #[test]
    fn a_folder_is_written_and_replaced_as_a_whole() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("runs").join("adapter");
        write(&path, &[("a", "1"), ("b", "2")]).unwrap();
        write(&path, &[("a", "3")]).unwrap();
        assert_eq!(names(&path), ["a"]);
        assert_eq!(fs::read(path.join("a")).unwrap(), b"3");
        assert_eq!(names(&room.path().join("runs")), ["adapter"]);
    }

    #[test]
    fn what_fails_half_way_leaves_what_was_there() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("adapter");
        // A file cannot be made twice.
        for expected in [vec![], vec!["adapter"]] {
            assert!(write(&path, &[("a", "1"), ("a", "2")]).is_err());
            assert_eq!(names(room.path()), expected);
            write(&path, &[("b", "0")]).unwrap();
        }
        assert_eq!(names(&path), ["b"]);
    }

    #[test]
    fn foreign_files_and_files_in_the_way_stay() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("adapter");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("thesis.tex"), "years of work").unwrap();
        let refused = |path: &Path| {
            let is_ours = |name: &str| ["a", "b"].contains(&name);
            let untouched = |_: &Path| unreachable!("nothing is written in vain");
            let error = write_folder(path, is_ours, untouched).unwrap_err();
            std::error::Error::source(&error).unwrap().to_string()
        };
        assert!(refused(&path).contains("thesis.tex"), "{}", refused(&path));
        assert_eq!(names(&path), ["thesis.tex"]);
        assert!(write(&path.join("thesis.tex"), &[("a", "1")]).is_err());
        assert_eq!(names(room.path()), ["adapter"]);
        fs::rename(path.join("thesis.tex"), room.path().join("b")).unwrap();
        std::os::unix::fs::symlink(room.path().join("b"), path.join("b")).unwrap();
        assert!(refused(&path).contains("has b in it"), "{}", refused(&path));
    }
}
