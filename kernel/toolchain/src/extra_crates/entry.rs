use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What describes an entry, in its folder.
const RECORD: &str = "crates.json";
/// The libraries of an entry, in its folder.
pub(super) const LIBRARIES: &str = "lib";
const VERSION: u32 = 1;

/// Crates that were built for cells and programs, beyond those of the prelude.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraCrates {
    /// Identifies crates, versions, features and compiler; empty for none.
    key: String,
    arguments: Vec<OsString>,
    /// Names in cells.
    names: Vec<String>,
    /// Where the libraries are.
    folder: Option<PathBuf>,
}

/// The contents of [`RECORD`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub version: u32,
    /// Name in cells, and file in [`LIBRARIES`].
    pub crates: Vec<(String, String)>,
    /// Where build scripts put native libraries, as rustc's `-L` takes it.
    pub native: Vec<String>,
}

impl Record {
    pub fn new(crates: Vec<(String, String)>, native: Vec<String>) -> Self {
        Self {
            version: VERSION,
            crates,
            native,
        }
    }
}

impl ExtraCrates {
    /// Identifies crates, versions, features and compiler; empty if there are none.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The arguments that let a call of rustc use the crates, each linked into what is compiled.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Where the libraries are; `None` if there are none.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The entry in a folder, if it is whole and of this version.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let record = fs::read(folder.join(RECORD)).ok()?;
        let record: Record = serde_json::from_slice(&record).ok()?;
        let libraries = folder.join(LIBRARIES);
        let is_whole = record
            .crates
            .iter()
            .all(|(_, file)| libraries.join(file).is_file());
        if record.version != VERSION || !is_whole {
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

/// Publishes an entry with these libraries under a key: by rename, so that it is whole or not
/// there.
pub(super) fn publish(
    record: &Record,
    libraries: &[PathBuf],
    cache: &Path,
    key: &str,
) -> io::Result<PathBuf> {
    let entry = cache.join(key);
    let temporary = cache.join(format!(".publishing-{key}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&temporary);
    let written = write(record, libraries, &temporary).and_then(|()| {
        // One that is there was found not to be whole.
        if ExtraCrates::read(&entry).is_none() {
            let _ = fs::remove_dir_all(&entry);
        }
        fs::rename(&temporary, &entry)
    });
    if let Err(error) = written {
        let _ = fs::remove_dir_all(&temporary);
        // Another process may have published the same first.
        if ExtraCrates::read(&entry).is_none() {
            return Err(error);
        }
    }
    Ok(entry)
}

fn write(record: &Record, libraries: &[PathBuf], folder: &Path) -> io::Result<()> {
    let target = folder.join(LIBRARIES);
    fs::create_dir_all(&target)?;
    for library in libraries {
        let name = library.file_name().unwrap_or_default();
        // Cargo replaces its files rather than writing into them, so that a link keeps this one.
        if fs::hard_link(library, target.join(name)).is_err() {
            fs::copy(library, target.join(name))?;
        }
    }
    let mut file = File::create(folder.join(RECORD))?;
    serde_json::to_writer(&mut file, record)?;
    file.flush()?;
    file.sync_all()
}

/// Names crates by what they were built to: for those whose source may change.
pub(super) fn content_key(request: &str, libraries: &[PathBuf]) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(request);
    for library in libraries {
        hash.update([0]);
        hash.update(library.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update([0]);
        hash.update(fs::read(library)?);
    }
    Ok(format!("{:x}", hash.finalize())[..32].to_owned())
}
