//! The cache folder, which holds what set-up downloaded and built for all checkouts of a user.
//!
//! A lock serializes set-ups. Files and folders are made in a staging folder and renamed to their
//! final place, so that whatever is in its final place is whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use offmodel_support::environment;
use tempfile::TempDir;

use crate::SetupError;

/// The prefix of staging folders, which hold the unfinished work of one set-up.
pub(crate) const STAGING_PREFIX: &str = ".staging-";

/// The cache folder, locked by this process until it is dropped.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    _lock: File,
}

impl Cache {
    /// The cache folder of this user: `OFFMODEL_CACHE`, else `offmodel` in the user's cache folder.
    ///
    /// # Errors
    /// When neither is known.
    pub fn default_root() -> Result<PathBuf, SetupError> {
        environment::cache_folder().ok_or(SetupError::NoCacheFolder)
    }

    /// Creates and locks the cache folder, once any other set-up has finished, and removes what an
    /// interrupted set-up left in it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn open(root: &Path) -> Result<Self, SetupError> {
        let write_error = |source| SetupError::writing(root, source, environment::CACHE);
        std::fs::create_dir_all(root).map_err(write_error)?;
        let root = root.canonicalize().map_err(write_error)?;
        let lock = File::create(root.join(".lock")).map_err(write_error)?;
        if lock.try_lock().is_err() {
            eprintln!("set-up: waiting for another set-up in {}", root.display());
            lock.lock().map_err(write_error)?;
        }
        let cache = Self { root, _lock: lock };
        // Safe only with the lock: no staging folder belongs to a running set-up.
        cache.remove_staging_folders().map_err(write_error)?;
        Ok(cache)
    }

    /// The path of the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Creates a temporary folder on the same file system as the final places.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn staging(&self) -> Result<TempDir, SetupError> {
        tempfile::Builder::new()
            .prefix(STAGING_PREFIX)
            .tempdir_in(&self.root)
            .map_err(|source| SetupError::writing(&self.root, source, environment::CACHE))
    }

    /// Checks that the disk has room for `bytes`, before a download fills it.
    ///
    /// # Errors
    /// When fewer than `bytes` are free.
    pub fn require_room(&self, bytes: u64) -> Result<(), SetupError> {
        let Ok(disk) = rustix::fs::statvfs(&self.root) else {
            return Ok(());
        };
        if disk.f_bavail.saturating_mul(disk.f_frsize) < bytes {
            return Err(SetupError::disk_full(&self.root));
        }
        Ok(())
    }

    /// Renames a finished file or folder to its final place, and replaces what was there.
    ///
    /// Its content is synced first, so that even after a power failure whatever is in place is
    /// whole.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn publish(&self, finished: &Path, place: &Path) -> Result<(), SetupError> {
        let write_error = |source| SetupError::writing(place, source, environment::CACHE);
        let parent = place.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(parent).map_err(write_error)?;
        let folder = File::open(parent).map_err(write_error)?;
        // One call for the whole file system: a folder of ten thousand headers, synced one by one,
        // would take minutes.
        rustix::fs::syncfs(&folder).map_err(|error| write_error(error.into()))?;
        if place.is_dir() {
            // A rename does not replace a folder that has files. The old one is incomplete, so nobody
            // uses it, and it may be gone for a moment.
            let aside = self.staging()?;
            std::fs::rename(place, aside.path().join("old")).map_err(write_error)?;
        }
        std::fs::rename(finished, place).map_err(write_error)?;
        folder.sync_all().map_err(write_error)
    }

    fn remove_staging_folders(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(STAGING_PREFIX)
            {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Turns a failed write below the cache folder into a [`SetupError`].
pub(crate) fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> SetupError {
    let path = path.to_path_buf();
    move |source| SetupError::writing(&path, source, environment::CACHE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn opening_the_cache_removes_what_an_interrupted_set_up_left() {
        let folder = tempfile::tempdir().unwrap();
        let half = folder.path().join(".staging-abc/lib");
        std::fs::create_dir_all(&half).unwrap();
        std::fs::write(half.join("libtorch_cpu.so"), "half").unwrap();
        std::fs::create_dir(folder.path().join("models")).unwrap();
        Cache::open(folder.path()).unwrap();
        assert_eq!(names(folder.path()), [".lock", "models"]);
    }

    #[test]
    fn publishing_replaces_an_incomplete_folder_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let place = cache.root().join("libtorch");
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("stray"), "old").unwrap();
        let staging = cache.staging().unwrap();
        let finished = staging.path().join("finished");
        std::fs::create_dir(&finished).unwrap();
        std::fs::write(finished.join("new"), "new").unwrap();
        cache.publish(&finished, &place).unwrap();
        drop(staging);
        assert_eq!(names(&place), ["new"]);
        assert_eq!(names(cache.root()), [".lock", "libtorch"]);
    }

    #[test]
    fn a_file_in_place_of_the_cache_folder_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = Cache::open(file.path()).unwrap_err().to_string();
        assert!(
            message.contains(&file.path().display().to_string()),
            "{message}"
        );
        assert!(
            message.ends_with("or set OFFMODEL_CACHE to one that is"),
            "{message}"
        );
    }
}
