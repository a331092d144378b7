use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use offmodel_toolchain::Toolchain;
use offmodel_toolchain::further_crates::FurtherCrates;
use sha2::{Digest, Sha256};

use crate::source::Source;

/// The folder of compiled programs, if it is not the user's cache folder.
const CACHE_VARIABLE: &str = "OFFMODEL_CACHE";
/// Programs beyond this number are removed, the longest unused first.
const KEPT: usize = 200;

/// Compiled programs, by content: `FOLDER/HASH/program` beside its `notebook.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache of this user: `$OFFMODEL_CACHE/programs`, else `offmodel/programs` in the
    /// user's cache folder; `None` if there is no such folder.
    pub fn of_user() -> Option<Self> {
        let folder = match std::env::var_os(CACHE_VARIABLE) {
            // Programs start in the folders of notebooks, where a relative path means another.
            Some(folder) => std::path::absolute(folder).ok()?,
            None => dirs::cache_dir()?.join("offmodel"),
        };
        Some(Self::new(folder.join("programs")))
    }

    /// A cache in a folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The executable compiled earlier under a key, marked as just used.
    pub(crate) fn find(&self, key: &str) -> Option<PathBuf> {
        let entry = self.folder.join(key);
        let executable = entry.join("program");
        if !executable.is_file() {
            return None;
        }
        // Only the order of removal depends on it.
        let _ = File::open(&entry).and_then(|entry| entry.set_modified(SystemTime::now()));
        Some(executable)
    }

    /// A folder to compile in, on the same file system as the cache.
    pub(crate) fn workplace(&self) -> io::Result<tempfile::TempDir> {
        fs::create_dir_all(&self.folder)?;
        tempfile::Builder::new()
            .prefix(".compiling-")
            .tempdir_in(&self.folder)
    }

    /// Publishes a workplace with its `program` under a key.
    pub(crate) fn publish(&self, workplace: tempfile::TempDir, key: &str) -> io::Result<PathBuf> {
        let entry = self.folder.join(key);
        let compiled = workplace.keep();
        if let Err(error) = fs::rename(&compiled, &entry) {
            fs::remove_dir_all(&compiled)?;
            // Another process compiled the same program meanwhile.
            if !entry.join("program").is_file() {
                return Err(error);
            }
        }
        self.remove_unused();
        Ok(entry.join("program"))
    }

    fn remove_unused(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let mut entries: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        entries.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        for (_, entry) in entries.iter().skip(KEPT) {
            let _ = fs::remove_dir_all(entry);
        }
    }
}

/// Names a program by everything that it is made of: its source, and the exact compiler and
/// prelude. These two are told by path, size and time of change: reading 200 MB for every run
/// would take longer than many runs.
pub(crate) fn key(
    source: &Source,
    further: &FurtherCrates,
    toolchain: &Toolchain,
) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(b"offmodel program 1");
    hash.update(source.text.as_bytes());
    hash.update([0]);
    hash.update(further.key());
    for file in [&toolchain.prelude, &toolchain.rustc] {
        let metadata = fs::metadata(file)?;
        let changed = metadata
            .modified()?
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_err(io::Error::other)?;
        hash.update([0]);
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update(metadata.len().to_le_bytes());
        hash.update(changed.as_nanos().to_le_bytes());
    }
    hash.update(toolchain.libtorch_lib.as_os_str().as_encoded_bytes());
    Ok(format!("{:x}", hash.finalize())[..32].to_owned())
}
