//! Tells whether a file may have changed without reading it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Common file systems record times at this resolution or a finer one; FAT has the coarsest.
const TIMESTAMP_RESOLUTION: Duration = Duration::from_secs(2);

/// Metadata that changes whenever a file is written or replaced.
///
/// `changed` (ctime) is what makes it reliable: unlike `modified`, no user program can set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Length in bytes.
    pub bytes: u64,
    /// Time of the last change to the content (mtime), in nanoseconds since 1970.
    pub modified: i64,
    /// Time of the last change to the inode (ctime), in nanoseconds since 1970.
    pub changed: i64,
    /// Inode number.
    pub inode: u64,
    /// Device number of the file system.
    pub device: u64,
}

impl Fingerprint {
    /// The fingerprint of an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
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

    /// Whether the last change lies so far before `now` that a further change must get a later
    /// time.
    ///
    /// Two writes within the resolution of the file system can have equal times. A fingerprint
    /// that is not settled must therefore not be compared later.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let limit = now
            .checked_sub(TIMESTAMP_RESOLUTION)
            .and_then(|limit| limit.duration_since(SystemTime::UNIX_EPOCH).ok())
            .and_then(|limit| i64::try_from(limit.as_nanos()).ok());
        limit.is_some_and(|limit| self.modified < limit && self.changed < limit)
    }
}
