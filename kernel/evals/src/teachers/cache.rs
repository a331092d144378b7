//! Answers kept on disk, one file each, named by the identity of the request.
//!
//! A file appears by rename, so that several trials may share a folder and an interrupted run
//! leaves no part of one. A file that is damaged, or that belongs to another request, counts as
//! not there: the answer is fetched again and takes its place.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::error::TeacherError;
use super::exchange::MAXIMUM_ANSWER_BYTES;
use super::request::Request;
use crate::atomic_file::write_atomically;

/// Version of the records; another version has a folder of its own.
const VERSION: u32 = 1;
/// A record holds an answer, whose bytes JSON may escape, and the request: a longer file is none.
const MAXIMUM_RECORD_BYTES: u64 = 8 * MAXIMUM_ANSWER_BYTES as u64;

/// The folder of answers.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    /// Seconds since 1970: what is behind an API changes.
    answered_at: u64,
    request: Request,
    answer: Answer,
}

impl Cache {
    /// The cache in `folder`, which need not exist yet.
    pub(super) fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The user's: `teachers` in the cache folder, which `OFFMODEL_CACHE` moves.
    pub(super) fn of_user() -> Result<Self, TeacherError> {
        let set = std::env::var_os("OFFMODEL_CACHE").filter(|folder| !folder.is_empty());
        set.map(PathBuf::from)
            .or_else(|| dirs::cache_dir().map(|folder| folder.join("offmodel")))
            .map(|folder| Self::new(folder.join("teachers")))
            .ok_or(TeacherError::NoCacheFolder)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder, so that one that cannot be written is told before anything is paid for.
    pub(super) fn prepare(&self) -> Result<(), TeacherError> {
        let folder = self.versioned();
        fs::create_dir_all(&folder)
            .and_then(|()| tempfile::tempfile_in(&folder).map(drop))
            .map_err(|source| TeacherError::Cache {
                path: folder,
                source,
            })
    }

    /// The answer to this request, if it is there and whole.
    pub(super) fn get(&self, request: &Request) -> Option<Answer> {
        let mut bytes = Vec::new();
        File::open(self.path(request))
            .ok()?
            .take(MAXIMUM_RECORD_BYTES)
            .read_to_end(&mut bytes)
            .ok()?;
        let record: Record = serde_json::from_slice(&bytes).ok()?;
        (record.version == VERSION && record.request == *request).then_some(record.answer)
    }

    /// Keeps an answer.
    pub(super) fn put(&self, request: &Request, answer: &Answer) -> Result<(), TeacherError> {
        let path = self.path(request);
        let record = Record {
            version: VERSION,
            answered_at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_secs()),
            request: request.clone(),
            answer: answer.clone(),
        };
        self.write(&path, &record)
            .map_err(|source| TeacherError::Cache { path, source })
    }

    fn write(&self, path: &Path, record: &Record) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string(record)?;
        write_atomically(path, |file| writeln!(file, "{text}"))
    }

    /// Folders of 256 keep any one of them small.
    fn path(&self, request: &Request) -> PathBuf {
        let identity = request.identity();
        self.versioned()
            .join(&identity[..2])
            .join(format!("{identity}.json"))
    }

    fn versioned(&self) -> PathBuf {
        self.folder.join(format!("v{VERSION}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::Ending;

    fn request(sample: u64) -> Request {
        Request {
            endpoint: "http://127.0.0.1/v1".to_owned(),
            sample,
            body: Map::from_iter([("temperature".to_owned(), json!(0.1))]),
        }
    }

    fn answer(text: &str) -> Answer {
        Answer {
            text: text.to_owned(),
            reasoning: None,
            ending: Ending::Stop,
            model: None,
            usage: None,
        }
    }

    fn kept() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("deep/down"));
        cache.prepare().unwrap();
        cache.put(&request(0), &answer("first")).unwrap();
        (folder, cache)
    }

    #[test]
    fn what_was_kept_is_found_by_its_request_alone() {
        let (_folder, cache) = kept();
        assert_eq!(cache.get(&request(0)), Some(answer("first")));
        assert_eq!(cache.get(&request(1)), None);
        cache.put(&request(0), &answer("second")).unwrap();
        assert_eq!(cache.get(&request(0)), Some(answer("second")));
    }

    #[test]
    fn a_damaged_record_counts_as_not_there_and_is_replaced() {
        let (_folder, cache) = kept();
        let path = cache.path(&request(0));
        let whole = fs::read(&path).unwrap();
        let later = String::from_utf8(whole.clone())
            .unwrap()
            .replace("\"version\":1", "\"version\":2");
        for damaged in [&b""[..], &whole[..whole.len() / 2], b"[]", later.as_bytes()] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(cache.get(&request(0)), None);
        }
        // The record of another request, for example copied by hand.
        fs::create_dir_all(cache.path(&request(1)).parent().unwrap()).unwrap();
        fs::write(cache.path(&request(1)), &whole).unwrap();
        assert_eq!(cache.get(&request(1)), None);
        cache.put(&request(0), &answer("again")).unwrap();
        assert_eq!(cache.get(&request(0)), Some(answer("again")));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_before_anything_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::new(&file).prepare().unwrap_err().to_string();
        assert!(error.starts_with("failed to keep an answer in "), "{error}");
    }

    #[test]
    fn a_record_of_version_1_stays_readable() {
        let (_folder, cache) = kept();
        let record = r#"{"version":1,"answered_at":1764028800,"request":{"endpoint":"http://127.0.0.1/v1","sample":0,"body":{"temperature":0.1}},"answer":{"text":"a","reasoning":"b","ending":{"other":"tool_calls"},"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2,"reasoning_tokens":1,"cost":0.5}}}"#;
        fs::write(cache.path(&request(0)), record).unwrap();
        let answer = cache.get(&request(0)).unwrap();
        assert_eq!(answer.ending, Ending::Other("tool_calls".to_owned()));
        assert_eq!(answer.usage.map(|usage| usage.completion_tokens), Some(2));
        // Where the file lies is part of the format.
        let identity = request(0).identity();
        let place = format!("v1/{}/{identity}.json", &identity[..2]);
        assert!(cache.path(&request(0)).ends_with(place));
    }
}
