use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use offmodel_support::{atomic_file, atomic_folder, digest};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file in an entry's folder that holds its [`Record`].
const RECORD: &str = "crates.json";
/// The folder in an entry's folder that holds its libraries.
const LIBRARIES: &str = "lib";
/// Hexadecimal digits of a key: 128 bits make collisions impossible in practice.
pub(super) const KEY_DIGITS: usize = 32;

/// Crates that were built for cells and programs in addition to those of the prelude.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraCrates {
    key: String,
    arguments: Vec<OsString>,
    /// Names in cells.
    names: Vec<String>,
    /// The folder of the libraries; none if there are no crates.
    folder: Option<PathBuf>,
}

/// The content of [`RECORD`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// Name in cells, and file in [`LIBRARIES`].
    crates: Vec<(String, String)>,
    /// The folders of native libraries built by build scripts, in the form of rustc's `-L`.
    native: Vec<String>,
}

impl Record {
    /// Readers ignore entries of other versions, which are then built again.
    const VERSION: u32 = 1;

    pub(super) fn new(crates: Vec<(String, String)>, native: Vec<String>) -> Self {
        Self {
            version: Self::VERSION,
            crates,
            native,
        }
    }
}

impl ExtraCrates {
    /// Identifies crates, versions, features and compiler; empty if there are no crates.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The compiler arguments with which a call of rustc can use the crates. Each is linked
    /// statically.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The folder of the libraries; none if there are no crates.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Reads the entry in `folder`; none if it is missing, incomplete or of another version.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let record = fs::read(folder.join(RECORD)).ok()?;
        let record: Record = serde_json::from_slice(&record).ok()?;
        let libraries = folder.join(LIBRARIES);
        let is_complete = record
            .crates
            .iter()
            .all(|(_, file)| libraries.join(file).is_file());
        if record.version != Record::VERSION || !is_complete {
            return None;
        }
        let mut dependency = OsString::from("dependency=");
        dependency.push(&libraries);
        let mut arguments = vec![OsString::from("-L"), dependency];
        for (name, file) in &record.crates {
            let mut library = OsString::from(format!("{name}="));
            library.push(libraries.join(file));
            arguments.extend(["--extern".into(), library]);
        }
        for folder in &record.native {
            arguments.extend(["-L".into(), folder.into()]);
        }
        let key = folder.file_name()?.to_string_lossy().into_owned();
        Some(Self {
            key,
            arguments,
            names: record.crates.into_iter().map(|(name, _)| name).collect(),
            folder: Some(libraries),
        })
    }
}

/// Creates the entry `key` in `cache`, unless another process has created it, and returns its folder.
pub(super) fn publish(
    record: &Record,
    libraries: &[PathBuf],
    cache: &Path,
    key: &str,
) -> io::Result<PathBuf> {
    let entry = cache.join(key);
    if ExtraCrates::read(&entry).is_none() {
        // An incomplete entry, for example one with a library deleted by hand.
        let _ = fs::remove_dir_all(&entry);
    }
    atomic_folder::create_if_absent(&entry, |folder| write(record, libraries, folder))?;
    Ok(entry)
}

fn write(record: &Record, libraries: &[PathBuf], folder: &Path) -> io::Result<()> {
    let target = folder.join(LIBRARIES);
    fs::create_dir(&target)?;
    for library in libraries {
        let name = library.file_name().unwrap_or_default();
        // Cargo replaces files instead of writing into them, so a hard link keeps this version.
        if fs::hard_link(library, target.join(name)).is_err() {
            fs::copy(library, target.join(name))?;
        }
    }
    atomic_file::write(&folder.join(RECORD), &serde_json::to_vec(record)?)
}

/// Identifies crates by their built libraries: for crates in local folders, whose source changes
/// while their request stays the same.
pub(super) fn content_key(request_key: &str, libraries: &[PathBuf]) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(request_key);
    for library in libraries {
        hash.update([0]);
        hash.update(library.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update([0]);
        hash.update(fs::read(library)?);
    }
    Ok(digest::hexadecimal(hash)[..KEY_DIGITS].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_back_unless_a_library_is_missing() {
        let room = tempfile::tempdir().unwrap();
        let library = room.path().join("libitoa-1.rlib");
        fs::write(&library, "library").unwrap();
        let record = || {
            Record::new(
                vec![("itoa".to_owned(), "libitoa-1.rlib".to_owned())],
                vec![],
            )
        };
        let cache = room.path().join("cache");
        let publish = || publish(&record(), std::slice::from_ref(&library), &cache, "key");
        let entry = publish().unwrap();
        let crates = ExtraCrates::read(&entry).unwrap();
        assert_eq!(
            (crates.key(), crates.names()),
            ("key", &["itoa".to_owned()][..])
        );
        fs::remove_file(entry.join(LIBRARIES).join("libitoa-1.rlib")).unwrap();
        assert_eq!(ExtraCrates::read(&entry), None);
        publish().unwrap();
        assert_eq!(ExtraCrates::read(&entry), Some(crates));
    }
}
