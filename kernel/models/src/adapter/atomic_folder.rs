//! Writing a folder so that a reader sees the old one or the whole new one, never a part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Puts a folder of these files, name and content, at `path`. A folder that is there is replaced
/// if it holds nothing but such files and those named in `known`.
pub(super) fn write_folder(path: &Path, files: &[(&str, &[u8])], known: &[&str]) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent)?;
    let temporary = temporary_beside(path, parent)?;
    let written = fill(&temporary, files).and_then(|()| publish(&temporary, path, files, known));
    // What is left of it after a failure, or the folder that was replaced.
    let removed = match fs::remove_dir_all(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    written.and(removed)?;
    // Makes the rename itself durable.
    File::open(parent)?.sync_all()
}

fn fill(folder: &Path, files: &[(&str, &[u8])]) -> io::Result<()> {
    fs::create_dir(folder)?;
    for (name, content) in files {
        let path = folder.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(content)?;
        file.sync_all()?;
    }
    File::open(folder)?.sync_all()
}

fn publish(new: &Path, path: &Path, files: &[(&str, &[u8])], known: &[&str]) -> io::Result<()> {
    let old = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return fs::rename(new, path),
        Err(error) => return Err(error),
    };
    for entry in old {
        let name = entry?.file_name();
        let is_known = |known: &&str| name == **known;
        if !files
            .iter()
            .map(|(name, _)| name)
            .chain(known)
            .any(is_known)
        {
            let detail = format!("the folder exists and has {} in it", name.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, detail));
        }
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

    #[test]
    fn a_folder_is_written_and_replaced_as_a_whole() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("runs").join("adapter");
        write_folder(&path, &[("a", b"1"), ("b", b"2")], &[]).unwrap();
        write_folder(&path, &[("a", b"3")], &["b"]).unwrap();
        assert_eq!(names(&path), ["a"]);
        assert_eq!(fs::read(path.join("a")).unwrap(), b"3");
        assert_eq!(names(&room.path().join("runs")), ["adapter"]);
    }

    #[test]
    fn foreign_files_and_files_in_the_way_stay() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("adapter");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("thesis.tex"), "years of work").unwrap();
        let error = write_folder(&path, &[("a", b"1")], &[]).unwrap_err();
        assert!(error.to_string().contains("thesis.tex"), "{error}");
        assert_eq!(names(&path), ["thesis.tex"]);
        assert!(write_folder(&path.join("thesis.tex"), &[("a", b"1")], &[]).is_err());
        assert_eq!(names(room.path()), ["adapter"]);
    }
}
