//! Hashes of the files and folders that a sweep's `data` names.
//!
//! Data can be large, so a file is read again only if its [`Fingerprint`] changed since the last
//! submission.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use offmodel_support::digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Fingerprint;

/// Bytes read at a time: few system calls, and the buffer stays in the processor's cache.
const READ_BUFFER_BYTES: usize = 1 << 18;

/// The content of one entry of `data`: of a file, or of all files in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataContent {
    /// SHA-256: of a file as `sha256sum` prints it, of a folder over the names and hashes of its
    /// files.
    pub hash: String,
    /// Size of all files, in bytes.
    pub bytes: u64,
    /// The files, by their path in the folder; a single file has the empty path.
    pub files: BTreeMap<String, DataFile>,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// SHA-256 of the content.
    pub hash: String,
    /// The content is unchanged while the fingerprint is. Absent if the file had changed so
    /// recently that a further change might not alter the fingerprint.
    #[serde(rename = "stamp")]
    pub fingerprint: Option<Fingerprint>,
}

/// Why data has no hash.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder is missing or unreadable.
    #[error("failed to read data {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A folder contains itself through a link.
    #[error("failed to read data {}: the folder contains itself through a link", path.display())]
    Cycle {
        /// The folder.
        path: PathBuf,
    },
    /// A pipe, a device or a socket.
    #[error("failed to read data {}: it is neither a file nor a folder", path.display())]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// The submission in a sweep's folder does not list the data.
    #[error("the sweep was submitted without data {path}")]
    NotSubmitted {
        /// The path as the sweep file names it.
        path: String,
    },
}

/// Hashes the data of a sweep, each entry once.
#[derive(Debug)]
pub struct DataHasher {
    /// The notebook's folder, to which paths are relative.
    folder: PathBuf,
    previous: BTreeMap<String, DataContent>,
    contents: BTreeMap<String, DataContent>,
}

impl DataHasher {
    /// A hasher for the data of a notebook in `folder`. Files whose fingerprint is the one in
    /// `previous` are not read again.
    pub fn new(folder: &Path, previous: BTreeMap<String, DataContent>) -> Self {
        Self {
            folder: folder.to_owned(),
            previous,
            contents: BTreeMap::new(),
        }
    }

    /// The hash of a file or folder, named by the path that cells use.
    ///
    /// # Errors
    /// [`DataError`], if the data cannot be read.
    pub fn hash(&mut self, path: &str) -> Result<String, DataError> {
        if let Some(content) = self.contents.get(path) {
            return Ok(content.hash.clone());
        }
        let content = read(&within(&self.folder, path), self.previous.get(path))?;
        let hash = content.hash.clone();
        self.contents.insert(path.to_owned(), content);
        Ok(hash)
    }

    /// Everything that was hashed, by the path that cells use.
    pub fn into_contents(self) -> BTreeMap<String, DataContent> {
        self.contents
    }
}

/// The paths of the `contents` that are no longer the same in `folder`, or no longer readable.
pub fn changed_since<'a>(
    folder: &Path,
    contents: &'a BTreeMap<String, DataContent>,
) -> Vec<&'a str> {
    contents
        .iter()
        .filter(|(path, content)| {
            read(&within(folder, path), Some(content)).map_or(true, |now| now.hash != content.hash)
        })
        .map(|(path, _)| path.as_str())
        .collect()
}

/// The path of data as the user would write it in the current folder, for error messages.
fn within(folder: &Path, path: &str) -> PathBuf {
    if folder == Path::new(".") {
        PathBuf::from(path)
    } else {
        folder.join(path)
    }
}

fn read(path: &Path, previous: Option<&DataContent>) -> Result<DataContent, DataError> {
    let mut walk = Walk {
        files: BTreeMap::new(),
        bytes: 0,
        previous,
        ancestors: Vec::new(),
    };
    walk.visit(path, String::new())?;
    let Walk { files, bytes, .. } = walk;
    let hash = match files.get("") {
        Some(file) => file.hash.clone(),
        None => hash_of_folder(&files),
    };
    Ok(DataContent { hash, bytes, files })
}

/// A walk over a file, or over all files in a folder.
struct Walk<'a> {
    files: BTreeMap<String, DataFile>,
    bytes: u64,
    previous: Option<&'a DataContent>,
    /// Device and inode of the folders around the current one, to find cycles.
    ancestors: Vec<(u64, u64)>,
}

impl Walk<'_> {
    fn visit(&mut self, path: &Path, name: String) -> Result<(), DataError> {
        let failed = |source| DataError::Read {
            path: path.to_owned(),
            source,
        };
        // Follows links: the Hugging Face cache consists of them.
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_file() {
            let file = self.file(path, &name).map_err(failed)?;
            self.files.insert(name, file);
            self.bytes += metadata.len();
            return Ok(());
        }
        if !metadata.is_dir() {
            return Err(DataError::Special {
                path: path.to_owned(),
            });
        }
        let identity = (metadata.dev(), metadata.ino());
        if self.ancestors.contains(&identity) {
            return Err(DataError::Cycle {
                path: path.to_owned(),
            });
        }
        self.ancestors.push(identity);
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let entry_name = entry.file_name().to_string_lossy().into_owned();
            // Hidden files belong to editors and notebooks, not to the data.
            if entry_name.starts_with('.') {
                continue;
            }
            let within = if name.is_empty() {
                entry_name
            } else {
                format!("{name}/{entry_name}")
            };
            self.visit(&entry.path(), within)?;
        }
        self.ancestors.pop();
        Ok(())
    }

    fn file(&self, path: &Path, name: &str) -> io::Result<DataFile> {
        let file = File::open(path)?;
        let fingerprint = Fingerprint::of(&file)?;
        let previous = self.previous.and_then(|previous| previous.files.get(name));
        if let Some(previous) = previous.filter(|file| file.fingerprint == Some(fingerprint)) {
            return Ok(previous.clone());
        }
        let began = SystemTime::now();
        let reader = BufReader::with_capacity(READ_BUFFER_BYTES, &file);
        let hash = digest::sha256_of_reader(reader)?;
        // If the file was written to meanwhile, the hash belongs to neither content: leave out the
        // fingerprint, so that the next look reads the file again.
        let is_consistent = Fingerprint::of(&file)? == fingerprint;
        let is_reliable = is_consistent && fingerprint.is_settled(began);
        Ok(DataFile {
            hash,
            fingerprint: is_reliable.then_some(fingerprint),
        })
    }
}

fn hash_of_folder(files: &BTreeMap<String, DataFile>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"offmodel data folder 1");
    for (name, file) in files {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(file.hash.as_bytes());
    }
    digest::hexadecimal(hasher)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn make_old(path: &Path) {
        let before = SystemTime::now() - Duration::from_secs(10);
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(before)
            .unwrap();
    }

    #[test]
    fn a_file_has_the_hash_of_its_content() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "abc").unwrap();
        let mut data = DataHasher::new(folder.path(), BTreeMap::new());
        // The example of FIPS 180-2.
        assert_eq!(
            data.hash("a").unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_folders_hash_depends_on_names_and_contents_of_its_files_alone() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("d/e");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("a"), "1").unwrap();
        let hash = || {
            DataHasher::new(folder.path(), BTreeMap::new())
                .hash("d")
                .unwrap()
        };
        let first = hash();
        fs::write(folder.path().join("d/.swap"), "").unwrap();
        make_old(&inner.join("a"));
        assert_eq!(hash(), first);
        fs::write(inner.join("b"), "").unwrap();
        assert_ne!(hash(), first);
        fs::remove_file(inner.join("b")).unwrap();
        fs::write(inner.join("a"), "2").unwrap();
        assert_ne!(hash(), first);
    }

    #[test]
    fn missing_data_and_a_folder_within_itself_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let mut data = DataHasher::new(folder.path(), BTreeMap::new());
        assert!(matches!(data.hash("a"), Err(DataError::Read { .. })));
        fs::create_dir(folder.path().join("d")).unwrap();
        std::os::unix::fs::symlink("..", folder.path().join("d/up")).unwrap();
        assert!(matches!(data.hash("d"), Err(DataError::Cycle { .. })));
    }

    #[test]
    fn a_file_just_written_is_read_again_so_that_its_change_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "1").unwrap();
        let mut data = DataHasher::new(folder.path(), BTreeMap::new());
        data.hash("a").unwrap();
        let previous = data.into_contents();
        assert_eq!(
            previous["a"].files[""].fingerprint, None,
            "a second write might have had the same time"
        );
        assert!(changed_since(folder.path(), &previous).is_empty());
        fs::write(&path, "2").unwrap();
        assert_eq!(changed_since(folder.path(), &previous), ["a"]);
    }

    #[test]
    fn a_file_with_the_same_fingerprint_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "1").unwrap();
        let fingerprint = Fingerprint::of(&File::open(&path).unwrap()).unwrap();
        let hash = "not the real hash".to_owned();
        let file = DataFile {
            hash: hash.clone(),
            fingerprint: Some(fingerprint),
        };
        let content = DataContent {
            hash: hash.clone(),
            bytes: 1,
            files: BTreeMap::from([(String::new(), file)]),
        };
        let previous = BTreeMap::from([("a".to_owned(), content)]);
        let mut data = DataHasher::new(folder.path(), previous);
        assert_eq!(data.hash("a").unwrap(), hash);
    }
}
