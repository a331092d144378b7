//! Responses kept on disk, one file each, named by the identity of the request.
//!
//! Files are written atomically, so that several trials can share a folder and an interrupted run
//! leaves no partial file. A file that is damaged, or that belongs to another request, counts as
//! absent: the response is fetched again and replaces it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use offmodel_support::{atomic_file, environment};
use serde::{Deserialize, Serialize};

use super::api_response::ApiResponse;
use super::error::TeacherError;
use super::http_client::MAX_RESPONSE_BYTES;
use super::request::Request;

/// Format version of the records. Each version has a folder of its own.
const VERSION: u32 = 1;
/// Largest record that is read. A record holds the response, whose characters JSON may escape, and
/// the request.
const MAX_RECORD_BYTES: u64 = 8 * MAX_RESPONSE_BYTES as u64;

/// A folder of cached responses.
#[derive(Debug, Clone)]
pub(super) struct ResponseCache {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    /// Unix time in seconds, because the model behind an API changes over time.
    answered_at: u64,
    request: Request,
    #[serde(rename = "answer")]
    response: ApiResponse,
}

impl ResponseCache {
    /// Uses `folder`, which need not exist yet.
    pub(super) fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Uses the folder `teachers` in the user's cache folder.
    pub(super) fn of_user() -> Result<Self, TeacherError> {
        let folder = environment::cache_folder().ok_or(TeacherError::NoCacheFolder)?;
        Ok(Self::new(folder.join("teachers")))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates the folder and checks that it is writable, before any response is paid for.
    pub(super) fn prepare(&self) -> Result<(), TeacherError> {
        let folder = self.versioned();
        fs::create_dir_all(&folder)
            .and_then(|()| atomic_file::check_writable(&folder))
            .map_err(|source| TeacherError::Cache {
                path: folder,
                source,
            })
    }

    /// Reads the response to `request`; none if it is absent or damaged.
    pub(super) fn get(&self, request: &Request) -> Option<ApiResponse> {
        let mut bytes = Vec::new();
        File::open(self.path(request))
            .ok()?
            .take(MAX_RECORD_BYTES)
            .read_to_end(&mut bytes)
            .ok()?;
        let record: Record = serde_json::from_slice(&bytes).ok()?;
        (record.version == VERSION && record.request == *request).then_some(record.response)
    }

    /// Stores the response to `request`.
    pub(super) fn put(
        &self,
        request: &Request,
        response: &ApiResponse,
    ) -> Result<(), TeacherError> {
        let path = self.path(request);
        let record = Record {
            version: VERSION,
            answered_at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_secs()),
            request: request.clone(),
            response: response.clone(),
        };
        self.write(&path, &record)
            .map_err(|source| TeacherError::Cache { path, source })
    }

    fn write(&self, path: &Path, record: &Record) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string(record)?;
        atomic_file::write(path, format!("{text}\n").as_bytes())
    }

    /// The file of a request. Subfolders by the first byte of the hash keep each folder small.
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
    use offmodel_models::FinishReason;

    fn request(sample: u64) -> Request {
        Request {
            endpoint: "http://127.0.0.1/v1".to_owned(),
            sample,
            body: Map::from_iter([("temperature".to_owned(), json!(0.1))]),
        }
    }

    fn response(text: &str) -> ApiResponse {
        ApiResponse {
            text: text.to_owned(),
            reasoning: None,
            finish_reason: FinishReason::Stop,
            model: None,
            usage: None,
        }
    }

    fn kept() -> (tempfile::TempDir, ResponseCache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = ResponseCache::new(folder.path().join("deep/down"));
        cache.prepare().unwrap();
        cache.put(&request(0), &response("first")).unwrap();
        (folder, cache)
    }

    #[test]
    fn what_was_kept_is_found_by_its_request_alone() {
        let (_folder, cache) = kept();
        assert_eq!(cache.get(&request(0)), Some(response("first")));
        assert_eq!(cache.get(&request(1)), None);
        cache.put(&request(0), &response("second")).unwrap();
        assert_eq!(cache.get(&request(0)), Some(response("second")));
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
        cache.put(&request(0), &response("again")).unwrap();
        assert_eq!(cache.get(&request(0)), Some(response("again")));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_before_anything_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = ResponseCache::new(&file).prepare().unwrap_err().to_string();
        assert!(
            error.starts_with("failed to cache a response in "),
            "{error}"
        );
    }

    #[test]
    fn a_record_of_version_1_stays_readable() {
        let (_folder, cache) = kept();
        let record = r#"{"version":1,"answered_at":1764028800,"request":{"endpoint":"http://127.0.0.1/v1","sample":0,"body":{"temperature":0.1}},"answer":{"text":"a","reasoning":"b","ending":{"other":"tool_calls"},"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2,"reasoning_tokens":1,"cost":0.5}}}"#;
        fs::write(cache.path(&request(0)), record).unwrap();
        let response = cache.get(&request(0)).unwrap();
        assert_eq!(
            response.finish_reason,
            FinishReason::Other("tool_calls".to_owned())
        );
        assert_eq!(response.usage.map(|usage| usage.completion_tokens), Some(2));
        // Where the file lies is part of the format.
        let identity = request(0).identity();
        let place = format!("v1/{}/{identity}.json", &identity[..2]);
        assert!(cache.path(&request(0)).ends_with(place));
    }
}
