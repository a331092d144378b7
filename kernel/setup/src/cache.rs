//! The folder that keeps what set-up fetched and built, across checkouts.

use std::fs::File;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::SetupError;

const VARIABLE: &str = "OFFMODEL_CACHE";
/// Folders with this prefix are the unfinished work of one set-up.
pub(crate) const STAGING: &str = ".staging-";

/// The cache folder, held by this process alone until dropped.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    _lock: File,
}

impl Cache {
    /// The cache folder of this user: `OFFMODEL_CACHE`, else `offmodel` in the user's cache folder.
    ///
    /// # Errors
    /// When no such folder is known.
    pub fn default_root() -> Result<PathBuf, SetupError> {
        std::env::var_os(VARIABLE)
            .map(PathBuf::from)
            .or_else(|| dirs::cache_dir().map(|folder| folder.join("offmodel")))
            .ok_or(SetupError::NoCacheFolder)
    }

    /// Opens the cache, waiting for any other set-up to finish, and clears away what an
    /// interrupted one left.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn open(root: &Path) -> Result<Self, SetupError> {
        let refused = |source| SetupError::writing(root, source, VARIABLE);
        std::fs::create_dir_all(root).map_err(refused)?;
        let root = root.canonicalize().map_err(refused)?;
        let lock = File::create(root.join(".lock")).map_err(refused)?;
        if lock.try_lock().is_err() {
            eprintln!("set-up: waiting for another set-up in {}", root.display());
            lock.lock().map_err(refused)?;
        }
        let cache = Self { root, _lock: lock };
        // With the lock held, no unfinished folder can belong to a running set-up.
        cache.clear_unfinished().map_err(refused)?;
        Ok(cache)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A new temporary folder on the same file system as the final places.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn staging(&self) -> Result<TempDir, SetupError> {
        tempfile::Builder::new()
            .prefix(STAGING)
            .tempdir_in(&self.root)
            .map_err(|source| SetupError::writing(&self.root, source, VARIABLE))
    }

    /// Refuses early what the disk has no room for.
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

    /// Puts a finished file or folder in its final place, replacing what was there.
    ///
    /// Everything is on disk before the rename makes it visible.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn publish(&self, finished: &Path, place: &Path) -> Result<(), SetupError> {
        let refused = |source| SetupError::writing(place, source, VARIABLE);
        let parent = place.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(parent).map_err(refused)?;
        let folder = File::open(parent).map_err(refused)?;
        // One call for the whole file system: a folder of ten thousand headers, synced one by one,
        // would take minutes.
        rustix::fs::syncfs(&folder).map_err(|error| refused(error.into()))?;
        if place.is_dir() {
            // A folder cannot be replaced by renaming over it; what is there is incomplete.
            let aside = self.staging()?;
            std::fs::rename(place, aside.path().join("old")).map_err(refused)?;
        }
        std::fs::rename(finished, place).map_err(refused)?;
        folder.sync_all().map_err(refused)
    }

    fn clear_unfinished(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(STAGING) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// A refused write below the cache folder.
pub(crate) fn refused(path: &Path) -> impl FnOnce(std::io::Error) -> SetupError {
    let path = path.to_path_buf();
    move |source| SetupError::writing(&path, source, VARIABLE)
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
    fn what_an_interrupted_set_up_left_is_cleared_when_the_cache_is_opened() {
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
