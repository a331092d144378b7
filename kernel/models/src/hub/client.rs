//! Downloads one file over HTTP.
//!
//! Like `huggingface_hub`, the client writes to `blobs/ETAG.incomplete` under a lock in `.locks`,
//! resumes from what an earlier download has left there, and renames the file to `blobs/ETAG` once
//! its size and, for large files, its SHA-256 are right.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use offmodel_events::{Interrupted, Progress, interrupt};
use offmodel_support::digest;
use reqwest::header::{AUTHORIZATION, HeaderValue, LOCATION, RANGE};
use reqwest::{Client, Response, StatusCode, Url};
use sha2::{Digest, Sha256};

use super::HubSettings;
use super::repo_info::Blob;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// A connection on which nothing arrives for so long is given up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The time between checks for an interrupt while waiting.
const INTERRUPT_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// A file on the hub is behind one redirect; mirrors add some.
const MAX_REDIRECTS: usize = 8;
/// More bytes than the list of files of any repository has.
const MAX_TEXT_BYTES: usize = 256 << 20;
/// Bytes that are read at once to compute the digest of an incomplete file.
const READ_BUFFER_BYTES: usize = 1 << 20;
/// Length of a SHA-256 in hexadecimal.
const SHA256_LENGTH: usize = 64;

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DownloadError {
    /// The connection or the server failed, and another attempt may succeed.
    #[error("{0}")]
    Transient(String),
    /// The server refused with this status.
    #[error("{0}")]
    Status(StatusCode),
    /// The response is not usable, and another attempt would not change that.
    #[error("{0}")]
    Permanent(String),
    #[error("failed to write {}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl DownloadError {
    /// The same error with the name of the file that it is about.
    pub(super) fn in_file(self, name: &str) -> Self {
        match self {
            Self::Transient(detail) => Self::Transient(format!("{name}: {detail}")),
            Self::Permanent(detail) => Self::Permanent(format!("{name}: {detail}")),
            other => other,
        }
    }
}

/// Where a repository's blobs and their locks are in the cache.
#[derive(Clone, Copy)]
pub(super) struct CacheFolders<'a> {
    pub(super) blobs: &'a Path,
    /// The locks that `huggingface_hub` takes for the same blobs.
    pub(super) locks: &'a Path,
}

impl CacheFolders<'_> {
    /// The file that holds what has arrived of a blob until it is complete.
    pub(super) fn incomplete(&self, blob: &Blob) -> PathBuf {
        self.blobs.join(format!("{}.incomplete", blob.etag))
    }
}

/// An HTTP client for one hub.
pub(super) struct HubClient<'a> {
    settings: &'a HubSettings,
    client: Client,
}

impl<'a> HubClient<'a> {
    pub(super) fn new(settings: &'a HubSettings) -> Result<Self, DownloadError> {
        let client = Client::builder()
            .user_agent(concat!("offmodel/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // `get` follows redirects itself, so that the token goes to the hub only.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(transient)?;
        Ok(Self { settings, client })
    }

    /// The body at a path of the hub, such as a repository's list of files.
    pub(super) async fn get_text(&self, path: &str) -> Result<Vec<u8>, DownloadError> {
        let mut response = self.get(path, 0).await?;
        let mut text = Vec::new();
        while let Some(chunk) = next_chunk(&mut response).await? {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_TEXT_BYTES {
                let detail = format!("the response for {path} exceeds {MAX_TEXT_BYTES} bytes");
                return Err(DownloadError::Permanent(detail));
            }
        }
        Ok(text)
    }

    /// Downloads the file at a path of the hub to `blobs/ETAG`, and resumes an earlier download.
    pub(super) async fn download(
        &self,
        path: &str,
        blob: &Blob,
        folders: CacheFolders<'_>,
        progress: &mut DownloadProgress<'_>,
    ) -> Result<(), DownloadError> {
        let finished = folders.blobs.join(&blob.etag);
        let _lock = BlobLock::acquire(&folders.locks.join(format!("{}.lock", blob.etag)))?;
        // Another process may have downloaded the file while this one waited for the lock.
        let is_finished = finished
            .metadata()
            .is_ok_and(|file| file.len() == blob.size);
        if is_finished {
            progress.reach(blob.size);
            return Ok(());
        }
        let incomplete_path = folders.incomplete(blob);
        let mut incomplete = IncompleteFile::open(&incomplete_path, blob)?;
        progress.reach(incomplete.length);
        if incomplete.length < blob.size {
            self.download_rest(path, &mut incomplete, progress).await?;
        }
        if let Err(error) = incomplete.verify(blob) {
            // Otherwise every later download would resume from the damaged file.
            let _ = std::fs::remove_file(&incomplete_path);
            return Err(error);
        }
        let write_error = |source| DownloadError::Write {
            path: finished.clone(),
            source,
        };
        incomplete.file.sync_all().map_err(write_error)?;
        std::fs::rename(&incomplete_path, &finished).map_err(write_error)
    }

    async fn download_rest(
        &self,
        path: &str,
        incomplete: &mut IncompleteFile,
        progress: &mut DownloadProgress<'_>,
    ) -> Result<(), DownloadError> {
        let mut response = self.get(path, incomplete.length).await?;
        if incomplete.length > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            // The server ignores `Range` and sends the whole file.
            incomplete.restart()?;
        }
        while let Some(chunk) = next_chunk(&mut response).await? {
            incomplete.write(&chunk)?;
            progress.reach(incomplete.length);
        }
        if incomplete.length < incomplete.expected {
            // A response without `Content-Length` that is cut off ends without an error.
            return Err(DownloadError::Transient(format!(
                "the connection ended after {} of {} bytes",
                incomplete.length, incomplete.expected
            )));
        }
        Ok(())
    }

    /// The response for a path of the hub, from byte `start` on, after all redirects.
    async fn get(&self, path: &str, start: u64) -> Result<Response, DownloadError> {
        let endpoint = &self.settings.endpoint;
        let hub = Url::parse(endpoint)
            .map_err(|_| DownloadError::Permanent("HF_ENDPOINT is not a URL".to_owned()))?;
        let mut url = Url::parse(&format!("{endpoint}/{path}"))
            .map_err(|_| DownloadError::Permanent(format!("{path} is not part of a URL")))?;
        for _ in 0..MAX_REDIRECTS {
            let mut request = self.client.get(url.clone());
            if let Some(token) = &self.settings.token
                && url.origin() == hub.origin()
            {
                let mut value =
                    HeaderValue::from_str(&format!("Bearer {}", token.0)).map_err(|_| {
                        DownloadError::Permanent("HF_TOKEN is not a valid token".to_owned())
                    })?;
                value.set_sensitive(true);
                request = request.header(AUTHORIZATION, value);
            }
            if start > 0 {
                request = request.header(RANGE, format!("bytes={start}-"));
            }
            let response = interruptible(request.send()).await?.map_err(transient)?;
            let status = response.status();
            if status.is_redirection() {
                let location = response.headers().get(LOCATION);
                let next = location.and_then(|next| url.join(next.to_str().ok()?).ok());
                url = next.ok_or_else(|| {
                    DownloadError::Permanent("the hub redirects without a location".to_owned())
                })?;
                continue;
            }
            return match status {
                _ if status.is_success() => Ok(response),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                    Err(DownloadError::Transient(status.to_string()))
                }
                _ if status.is_server_error() => Err(DownloadError::Transient(status.to_string())),
                status => Err(DownloadError::Status(status)),
            };
        }
        Err(DownloadError::Permanent(format!(
            "the hub redirects more than {MAX_REDIRECTS} times"
        )))
    }
}

/// The next bytes of a body; none at its end.
async fn next_chunk(response: &mut Response) -> Result<Option<Vec<u8>>, DownloadError> {
    let chunk = interruptible(response.chunk()).await?.map_err(transient)?;
    Ok(chunk.map(Vec::from))
}

/// Waits for `future` until the user interrupts or [`IDLE_TIMEOUT`] has passed.
async fn interruptible<T>(future: impl Future<Output = T>) -> Result<T, DownloadError> {
    let mut future = std::pin::pin!(future);
    let polls = IDLE_TIMEOUT.as_millis() / INTERRUPT_POLL_INTERVAL.as_millis();
    for _ in 0..polls {
        interrupt::check()?;
        if let Ok(value) = tokio::time::timeout(INTERRUPT_POLL_INTERVAL, &mut future).await {
            return Ok(value);
        }
    }
    Err(DownloadError::Transient(format!(
        "the server sent nothing for {} seconds",
        IDLE_TIMEOUT.as_secs()
    )))
}

/// The error without its URL, whose signature would let anyone read the file.
fn transient(error: reqwest::Error) -> DownloadError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    DownloadError::Transient(text)
}

/// The progress of one file, on a bar that several files share.
pub(super) struct DownloadProgress<'a> {
    progress: &'a mut Progress,
    counted: u64,
}

impl<'a> DownloadProgress<'a> {
    pub(super) fn new(progress: &'a mut Progress) -> Self {
        Self {
            progress,
            counted: 0,
        }
    }

    /// Reports that `bytes` of the file are there. Bytes that are downloaded again count once.
    fn reach(&mut self, bytes: u64) {
        self.progress.advance(bytes.saturating_sub(self.counted));
        self.counted = self.counted.max(bytes);
    }
}

/// A file that is being downloaded.
struct IncompleteFile {
    path: PathBuf,
    file: File,
    length: u64,
    expected: u64,
    /// The hasher of what has arrived; absent for small files, whose etag is no SHA-256.
    hasher: Option<Sha256>,
}

impl IncompleteFile {
    fn open(path: &Path, blob: &Blob) -> Result<Self, DownloadError> {
        let write_error = |source| DownloadError::Write {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(write_error)?;
        let mut hasher = (blob.etag.len() == SHA256_LENGTH).then(Sha256::new);
        let mut length = file.metadata().map_err(write_error)?.len();
        if length > blob.size {
            file.set_len(0).map_err(write_error)?;
            length = 0;
        }
        if let Some(hasher) = &mut hasher {
            let mut buffer = vec![0; READ_BUFFER_BYTES];
            loop {
                interrupt::check()?;
                match file.read(&mut buffer).map_err(write_error)? {
                    0 => break,
                    count => hasher.update(&buffer[..count]),
                }
            }
        }
        file.seek(SeekFrom::Start(length)).map_err(write_error)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            length,
            expected: blob.size,
            hasher,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DownloadError> {
        self.file
            .write_all(bytes)
            .map_err(|source| self.write_error(source))?;
        self.length += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if self.length > self.expected {
            let detail = format!(
                "the server sent more than the file's {} bytes",
                self.expected
            );
            let _ = self.restart();
            return Err(DownloadError::Permanent(detail));
        }
        Ok(())
    }

    /// Drops what has arrived.
    fn restart(&mut self) -> Result<(), DownloadError> {
        self.file
            .set_len(0)
            .map_err(|source| self.write_error(source))?;
        let start = self.file.seek(SeekFrom::Start(0));
        self.length = start.map_err(|source| self.write_error(source))?;
        self.hasher = self.hasher.as_ref().map(|_| Sha256::new());
        Ok(())
    }

    /// Fails if the complete file does not have the SHA-256 that it should have.
    fn verify(&mut self, blob: &Blob) -> Result<(), DownloadError> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        let found = digest::hexadecimal(hasher);
        if found != blob.etag {
            let detail = format!("its SHA-256 is {found}, expected {}", blob.etag);
            return Err(DownloadError::Permanent(detail));
        }
        Ok(())
    }

    fn write_error(&self, source: std::io::Error) -> DownloadError {
        DownloadError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

/// A lock that keeps other processes, including those of Python, from writing the same blob.
struct BlobLock(File);

impl BlobLock {
    fn acquire(path: &Path) -> Result<Self, DownloadError> {
        let write_error = |source| DownloadError::Write {
            path: path.to_owned(),
            source,
        };
        let file = File::create(path).map_err(write_error)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(std::fs::TryLockError::WouldBlock) => {
                    interrupt::sleep(INTERRUPT_POLL_INTERVAL)?;
                }
                Err(std::fs::TryLockError::Error(source)) => return Err(write_error(source)),
            }
        }
    }
}

impl Drop for BlobLock {
    fn drop(&mut self) {
        // The file stays: if it were removed, a process that waits for it and one that creates it
        // anew would hold a lock each.
        let _ = self.0.unlock();
    }
}
