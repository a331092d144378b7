use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use offmodel_toolchain::Toolchain;
use offmodel_toolchain::extra_crates::ExtraCrates;
use sha2::{Digest, Sha256};

use crate::source::Source;

/// The folder of compiled programs, if it is not the user's cache folder.
const CACHE_VARIABLE: &str = "OFFMODEL_CACHE";
/// Programs beyond this number, or beyond this many bytes in all, are removed, the longest unused
/// first.
const KEPT: usize = 200;
const KEPT_BYTES: u64 = 4_000_000_000;
/// A folder to compile in that is older than this was left behind by a process that was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Compiled programs, by content: `FOLDER/HASH/program` beside its `notebook.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
    kept: usize,
    kept_bytes: u64,
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
            kept: KEPT,
            kept_bytes: KEPT_BYTES,
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
        let (workplaces, mut programs): (Vec<_>, Vec<_>) = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .partition(|(_, path)| is_hidden(path));
        for (used, workplace) in workplaces {
            if used.elapsed().is_ok_and(|age| age > ABANDONED) {
                let _ = fs::remove_dir_all(workplace);
            }
        }
        programs.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        let mut bytes = 0;
        for (position, (_, program)) in programs.iter().enumerate() {
            bytes += size(program);
            // The latest is about to run, whatever its size.
            if position > 0 && (position >= self.kept || bytes > self.kept_bytes) {
                let _ = fs::remove_dir_all(program);
            }
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The bytes of the files in a folder.
fn size(folder: &Path) -> u64 {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum()
}

/// Names a program by everything that it is made of: its source, and the exact compiler and
/// prelude. These two are told by path, size and time of change: reading 200 MB for every run
/// would take longer than many runs.
pub(crate) fn key(
    source: &Source,
    further: &ExtraCrates,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(cache: &Cache, key: &str, bytes: usize) {
        let workplace = cache.workplace().unwrap();
        fs::write(workplace.path().join("program"), vec![0; bytes]).unwrap();
        cache.publish(workplace, key).unwrap();
    }

    fn used(cache: &Cache, key: &str, seconds_ago: u64) {
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
    fn the_longest_unused_programs_make_room_by_number_and_by_size() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = Cache::new(folder.path());
        (cache.kept, cache.kept_bytes) = (3, 100);
        for (key, age) in [("a", 40), ("b", 30), ("c", 20)] {
            publish(&cache, key, 10);
            used(&cache, key, age);
        }
        assert!(cache.find("a").is_some(), "used just now");
        publish(&cache, "d", 10);
        assert_eq!(keys(&cache), ["a", "c", "d"]);
        used(&cache, "a", 10);
        used(&cache, "d", 5);
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
    fn what_a_killed_compilation_left_behind_is_removed_after_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        for (key, age) in [(".compiling-1", 25 * 3600), (".compiling-2", 3600)] {
            fs::create_dir(cache.folder.join(key)).unwrap();
            used(&cache, key, age);
        }
        publish(&cache, "a", 1);
        assert_eq!(keys(&cache), [".compiling-2", "a"]);
    }
}
