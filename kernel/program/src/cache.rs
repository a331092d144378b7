//! The cache of compiled programs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use offmodel_cells::generated::GeneratedCode;
use offmodel_support::{digest, environment};
use offmodel_toolchain::Toolchain;
use offmodel_toolchain::extra_crates::ExtraCrates;
use sha2::{Digest, Sha256};

/// The most programs that are kept; the least recently used ones are removed first.
const MAX_PROGRAMS: usize = 200;
/// The most bytes that all programs may take together.
const MAX_BYTES: u64 = 4_000_000_000;
/// The age from which a work folder counts as left behind by a killed process.
const MAX_WORK_FOLDER_AGE: Duration = Duration::from_secs(24 * 3600);
/// The length of a program's key, in hexadecimal digits.
const KEY_LENGTH: usize = 32;

/// Compiled programs by content: `FOLDER/KEY/program`, beside its source `notebook.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
    max_programs: usize,
    max_bytes: u64,
}

impl Cache {
    /// The cache of this user: `programs` in the [cache folder](environment::cache_folder); none if
    /// that is unknown.
    pub fn of_user() -> Option<Self> {
        Some(Self::new(environment::cache_folder()?.join("programs")))
    }

    /// The cache in `folder`, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            max_programs: MAX_PROGRAMS,
            max_bytes: MAX_BYTES,
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The executable compiled earlier under `key`, and marks it as just used.
    pub(crate) fn find(&self, key: &str) -> Option<PathBuf> {
        let entry = self.folder.join(key);
        let executable = entry.join("program");
        if !executable.is_file() {
            return None;
        }
        // Only the order of removal depends on the time, so an error does not matter.
        let _ = File::open(&entry).and_then(|entry| entry.set_modified(SystemTime::now()));
        Some(executable)
    }

    /// A new folder to compile in, on the file system of the cache.
    pub(crate) fn work_folder(&self) -> io::Result<tempfile::TempDir> {
        fs::create_dir_all(&self.folder)?;
        tempfile::Builder::new()
            .prefix(".compiling-")
            .tempdir_in(&self.folder)
    }

    /// Moves a work folder with a compiled `program` to its place in the cache.
    pub(crate) fn publish(&self, work_folder: tempfile::TempDir, key: &str) -> io::Result<PathBuf> {
        let entry = self.folder.join(key);
        let compiled = work_folder.keep();
        if let Err(error) = fs::rename(&compiled, &entry) {
            fs::remove_dir_all(&compiled)?;
            // Another process may have published the same program in the meantime; both are equal.
            if !entry.join("program").is_file() {
                return Err(error);
            }
        }
        self.remove_unused();
        Ok(entry.join("program"))
    }

    /// Removes the least recently used programs beyond the limits, and old work folders.
    fn remove_unused(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let (work_folders, mut programs): (Vec<_>, Vec<_>) = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .partition(|(_, path)| is_hidden(path));
        for (changed, work_folder) in work_folders {
            if changed.elapsed().is_ok_and(|age| age > MAX_WORK_FOLDER_AGE) {
                let _ = fs::remove_dir_all(work_folder);
            }
        }
        programs.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        let mut bytes = 0;
        for (position, (_, program)) in programs.iter().enumerate() {
            bytes += size(program);
            // The most recent program is about to run, so it stays whatever its size.
            if position > 0 && (position >= self.max_programs || bytes > self.max_bytes) {
                let _ = fs::remove_dir_all(program);
            }
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The size of the files in a folder, in bytes.
fn size(folder: &Path) -> u64 {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum()
}

/// The key of a program: a hash of its source, its extra crates, and the exact compiler and prelude.
/// Compiler and prelude count by path, size and modification time, because reading their 200 MB for
/// every run would take longer than many runs.
pub(crate) fn key(
    code: &GeneratedCode,
    extra_crates: &ExtraCrates,
    toolchain: &Toolchain,
) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(b"offmodel program 1");
    hash.update(code.text().as_bytes());
    hash.update([0]);
    hash.update(extra_crates.key());
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
    Ok(digest::hexadecimal(hash)[..KEY_LENGTH].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(cache: &Cache, key: &str, bytes: usize) {
        let work_folder = cache.work_folder().unwrap();
        fs::write(work_folder.path().join("program"), vec![0; bytes]).unwrap();
        cache.publish(work_folder, key).unwrap();
    }

    fn set_last_use(cache: &Cache, key: &str, seconds_ago: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds_ago);
        File::open(cache.folder.join(key))
            .unwrap()
            .set_modified(time)
            .unwrap();
    }

    fn keys(cache: &Cache) -> Vec<String> {
        let mut keys: Vec<String> = fs::read_dir(&cache.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_least_recently_used_programs_are_removed_beyond_either_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = Cache::new(folder.path());
        (cache.max_programs, cache.max_bytes) = (3, 100);
        for (key, age) in [("a", 40), ("b", 30), ("c", 20)] {
            publish(&cache, key, 10);
            set_last_use(&cache, key, age);
        }
        assert!(cache.find("a").is_some(), "used just now");
        publish(&cache, "d", 10);
        assert_eq!(keys(&cache), ["a", "c", "d"]);
        set_last_use(&cache, "a", 10);
        set_last_use(&cache, "d", 5);
        publish(&cache, "e", 85);
        assert_eq!(keys(&cache), ["d", "e"]);
        publish(&cache, "f", 1000);
        assert_eq!(
            keys(&cache),
            ["f"],
            "the program that is about to run stays"
        );
    }

    #[test]
    fn the_work_folder_of_a_killed_compilation_is_removed_after_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        for (key, age) in [(".compiling-1", 25 * 3600), (".compiling-2", 3600)] {
            fs::create_dir(cache.folder.join(key)).unwrap();
            set_last_use(&cache, key, age);
        }
        publish(&cache, "a", 1);
        assert_eq!(keys(&cache), [".compiling-2", "a"]);
    }
}
