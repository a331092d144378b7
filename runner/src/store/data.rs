//! What the data of a sweep contain: hashes by content, kept so that files which did not change
//! are not read again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The content of one entry of `data`: of a file, or of all files in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataContent {
    /// SHA-256: of a file as `sha256sum` prints it; of a folder over the names and hashes of its
    /// files.
    pub hash: String,
    /// Bytes of all files.
    pub bytes: u64,
    /// The files by their path in the folder; a file alone has the empty path.
    pub files: BTreeMap<String, DataFile>,
}

/// The content of a file, and what the system said about the file when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// SHA-256 of its content.
    pub hash: String,
    /// While this is the same, so is the content; absent where the file had changed so short a
    /// time before that a further change could leave no trace in it.
    pub stamp: Option<Stamp>,
}

/// What changes when a file is written: length, time of change to the content and to the file's
/// record (which, other than the first, nobody can set), and the file itself if it is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Length in bytes.
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub modified: i64,
    /// Nanoseconds since 1970.
    pub changed: i64,
    /// The file's number.
    pub inode: u64,
    /// The file system's number.
    pub device: u64,
}

/// Data that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder is missing or not readable.
    #[error("failed to read data {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder that contains itself, through a link.
    #[error("failed to read data {}: the folder contains itself through a link", path.display())]
    Cycle {
        /// The folder.
        path: PathBuf,
    },
    /// Neither a file nor a folder.
    #[error("failed to read data {}: it is neither a file nor a folder", path.display())]
    Special {
        /// A pipe, a device or a socket.
        path: PathBuf,
    },
    /// A sweep's folder knows nothing of it.
    #[error("the sweep was submitted without data {path}")]
    NotSubmitted {
        /// The path as given.
        path: String,
    },
}

/// The times of files have, on common file systems, this resolution or a better one.
const RESOLUTION: Duration = Duration::from_secs(2);

/// The data of a sweep, each hashed once.
#[derive(Debug)]
pub struct DataSet {
    /// The notebook's folder, from which its cells read.
    folder: PathBuf,
    /// From an earlier run.
    former: BTreeMap<String, DataContent>,
    contents: BTreeMap<String, DataContent>,
}

impl DataSet {
    /// Data that the cells of a notebook in `folder` read. Files that are as they were when
    /// `former` was written are not read again.
    pub fn new(folder: &Path, former: BTreeMap<String, DataContent>) -> Self {
        Self {
            folder: folder.to_owned(),
            former,
            contents: BTreeMap::new(),
        }
    }

    /// The hash of a file or folder, named as a cell names it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn hash(&mut self, path: &str) -> Result<String, DataError> {
        if let Some(content) = self.contents.get(path) {
            return Ok(content.hash.clone());
        }
        let content = read(&within(&self.folder, path), self.former.get(path))?;
        let hash = content.hash.clone();
        self.contents.insert(path.to_owned(), content);
        Ok(hash)
    }

    /// All that was hashed, by the path as given.
    pub fn into_contents(self) -> BTreeMap<String, DataContent> {
        self.contents
    }
}

/// Those of `contents`, hashed before, that are not the same any more in `folder`.
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

/// A path as the user would write it here.
fn within(folder: &Path, path: &str) -> PathBuf {
    if folder == Path::new(".") {
        PathBuf::from(path)
    } else {
        folder.join(path)
    }
}

fn read(path: &Path, former: Option<&DataContent>) -> Result<DataContent, DataError> {
    let mut found = BTreeMap::new();
    let mut walk = Walk {
        files: &mut found,
        former,
        parents: Vec::new(),
    };
    walk.visit(path, String::new())?;
    let bytes = found.values().map(|(_, bytes)| bytes).sum();
    let files: BTreeMap<String, DataFile> = found
        .into_iter()
        .map(|(name, (file, _))| (name, file))
        .collect();
    let hash = match files.get("") {
        Some(file) => file.hash.clone(),
        None => hash_of_folder(&files),
    };
    Ok(DataContent { hash, bytes, files })
}

struct Walk<'a> {
    /// With their lengths.
    files: &'a mut BTreeMap<String, (DataFile, u64)>,
    former: Option<&'a DataContent>,
    /// Device and number of the folders that we are in.
    parents: Vec<(u64, u64)>,
}

impl Walk<'_> {
    fn visit(&mut self, path: &Path, name: String) -> Result<(), DataError> {
        let failed = |source| DataError::Read {
            path: path.to_owned(),
            source,
        };
        // Follows links: caches of models are made of them.
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_file() {
            let file = self.file(path, &name).map_err(failed)?;
            self.files.insert(name, (file, metadata.len()));
            return Ok(());
        }
        if !metadata.is_dir() {
            return Err(DataError::Special {
                path: path.to_owned(),
            });
        }
        let identity = (metadata.dev(), metadata.ino());
        if self.parents.contains(&identity) {
            return Err(DataError::Cycle {
                path: path.to_owned(),
            });
        }
        self.parents.push(identity);
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let own = entry.file_name().to_string_lossy().into_owned();
            // What editors and notebooks keep beside data.
            if own.starts_with('.') {
                continue;
            }
            let within = if name.is_empty() {
                own
            } else {
                format!("{name}/{own}")
            };
            self.visit(&entry.path(), within)?;
        }
        self.parents.pop();
        Ok(())
    }

    fn file(&self, path: &Path, name: &str) -> io::Result<DataFile> {
        let mut file = File::open(path)?;
        let stamp = Stamp::of(&file)?;
        let former = self.former.and_then(|former| former.files.get(name));
        if let Some(former) = former.filter(|former| former.stamp == Some(stamp)) {
            return Ok(former.clone());
        }
        let began = SystemTime::now();
        let hash = hash_of_file(&mut file)?;
        // Written to while we read: the hash is of neither content.
        let is_whole = Stamp::of(&file)? == stamp;
        let stamp = (is_whole && stamp.is_old(began)).then_some(stamp);
        Ok(DataFile { hash, stamp })
    }
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let nanoseconds = |seconds: i64, nanoseconds: i64| {
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanoseconds)
        };
        Ok(Self {
            bytes: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        })
    }

    /// Whether the last change is so long before `now` that another one would have another time.
    fn is_old(&self, now: SystemTime) -> bool {
        let limit = now
            .checked_sub(RESOLUTION)
            .and_then(|limit| limit.duration_since(SystemTime::UNIX_EPOCH).ok())
            .and_then(|limit| i64::try_from(limit.as_nanos()).ok());
        limit.is_some_and(|limit| self.modified < limit && self.changed < limit)
    }
}

fn hash_of_file(file: &mut File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(format!("{:x}", hash.finalize())),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hash_of_folder(files: &BTreeMap<String, DataFile>) -> String {
    let mut hash = Sha256::new();
    hash.update(b"offmodel data folder 1");
    for (name, file) in files {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update(file.hash.as_bytes());
    }
    format!("{:x}", hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(path: &Path) {
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
        let mut data = DataSet::new(folder.path(), BTreeMap::new());
        // The example of FIPS 180-2.
        assert_eq!(
            data.hash("a").unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_folder_is_told_by_the_names_and_contents_of_its_files_and_by_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("d/e");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("a"), "1").unwrap();
        let hash = || {
            DataSet::new(folder.path(), BTreeMap::new())
                .hash("d")
                .unwrap()
        };
        let first = hash();
        fs::write(folder.path().join("d/.swap"), "").unwrap();
        age(&inner.join("a"));
        assert_eq!(hash(), first);
        fs::write(inner.join("b"), "").unwrap();
        assert_ne!(hash(), first);
        fs::remove_file(inner.join("b")).unwrap();
        fs::write(inner.join("a"), "2").unwrap();
        assert_ne!(hash(), first);
    }

    #[test]
    fn what_is_missing_or_endless_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut data = DataSet::new(folder.path(), BTreeMap::new());
        assert!(matches!(data.hash("a"), Err(DataError::Read { .. })));
        fs::create_dir(folder.path().join("d")).unwrap();
        std::os::unix::fs::symlink("..", folder.path().join("d/up")).unwrap();
        assert!(matches!(data.hash("d"), Err(DataError::Cycle { .. })));
    }

    #[test]
    fn a_file_just_written_is_read_again_and_what_changed_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "1").unwrap();
        let mut data = DataSet::new(folder.path(), BTreeMap::new());
        data.hash("a").unwrap();
        let former = data.into_contents();
        assert_eq!(
            former["a"].files[""].stamp, None,
            "its record changed within the resolution of clocks"
        );
        assert!(changed_since(folder.path(), &former).is_empty());
        fs::write(&path, "2").unwrap();
        assert_eq!(changed_since(folder.path(), &former), ["a"]);
    }

    #[test]
    fn a_file_with_the_same_stamp_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "1").unwrap();
        let stamp = Stamp::of(&File::open(&path).unwrap()).unwrap();
        let hash = "as it was".to_owned();
        let file = DataFile {
            hash: hash.clone(),
            stamp: Some(stamp),
        };
        let content = DataContent {
            hash: hash.clone(),
            bytes: 1,
            files: BTreeMap::from([(String::new(), file)]),
        };
        let former = BTreeMap::from([("a".to_owned(), content)]);
        let mut data = DataSet::new(folder.path(), former);
        assert_eq!(data.hash("a").unwrap(), hash);
    }
}
