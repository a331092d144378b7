//! One file over HTTP.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use offmodel_events::{Interrupted, Progress, interrupt};
use reqwest::header::{AUTHORIZATION, HeaderValue, LOCATION, RANGE};
use reqwest::{Client, Response, StatusCode, Url};
use sha2::{Digest, Sha256};

use super::Settings;
use super::listing::Blob;

/// How often a waiting transfer looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(200);
/// A connection that says nothing for so many looks is dead.
const PATIENCE: u32 = 150;
/// A file of the hub is behind one redirection; mirrors add some.
const REDIRECTIONS: usize = 8;
/// What the listing and the index of the shards may take: some megabytes for the largest models.
const LARGEST_TEXT: usize = 256 << 20;

/// Why something did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransferError {
    /// May go well another time: the connection, or the server for the moment.
    #[error("{0}")]
    Passing(String),
    /// The server does not give it.
    #[error("{status}")]
    Refused { status: StatusCode },
    /// What came is not what was asked for.
    #[error("{0}")]
    Wrong(String),
    #[error("failed to write {}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Where a file goes.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) blobs: &'a Path,
    /// The folder of the locks that Python takes for the same files.
    pub(super) locks: &'a Path,
}

/// Talks to one hub.
pub(super) struct Hub<'a> {
    settings: &'a Settings,
    client: Client,
}

impl<'a> Hub<'a> {
    pub(super) fn new(settings: &'a Settings) -> Result<Self, TransferError> {
        let client = Client::builder()
            .user_agent(concat!("offmodel/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(20))
            // By hand: the token is not for the servers that the hub sends us to.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(passing)?;
        Ok(Self { settings, client })
    }

    /// A text, such as the listing of a repository, at a path of the hub.
    pub(super) async fn text(&self, path: &str) -> Result<Vec<u8>, TransferError> {
        let mut response = self.get(path, 0).await?;
        let mut text = Vec::new();
        while let Some(part) = chunk(&mut response).await? {
            text.extend_from_slice(&part);
            if text.len() > LARGEST_TEXT {
                return Err(TransferError::Wrong(format!("{path} does not end")));
            }
        }
        Ok(text)
    }

    /// The file at a path of the hub as `blobs/NAME`. What has arrived of it is in
    /// `NAME.incomplete` until it is whole, and a later call goes on from there.
    pub(super) async fn file(
        &self,
        path: &str,
        blob: &Blob,
        Places { blobs, locks }: Places<'_>,
        arrival: &mut Arrival<'_>,
    ) -> Result<(), TransferError> {
        let finished = blobs.join(&blob.name);
        let _lock = Lock::take(&locks.join(format!("{}.lock", blob.name)))?;
        if finished
            .metadata()
            .is_ok_and(|found| found.len() == blob.size)
        {
            arrival.reached(blob.size);
            return Ok(());
        }
        let incomplete = blobs.join(format!("{}.incomplete", blob.name));
        let mut part = Part::open(&incomplete, blob)?;
        arrival.reached(part.length);
        if part.length < blob.size {
            self.rest(path, &mut part, arrival).await?;
        }
        let wrong = part.wrong(blob);
        if let Some(wrong) = wrong {
            let _ = std::fs::remove_file(&incomplete);
            return Err(TransferError::Wrong(wrong));
        }
        let failed = |source| TransferError::Write {
            path: finished.clone(),
            source,
        };
        part.file.sync_all().map_err(failed)?;
        std::fs::rename(&incomplete, &finished).map_err(failed)
    }

    async fn rest(
        &self,
        path: &str,
        part: &mut Part,
        arrival: &mut Arrival<'_>,
    ) -> Result<(), TransferError> {
        let mut response = self.get(path, part.length).await?;
        if part.length > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            part.start_again()?;
        }
        while let Some(bytes) = chunk(&mut response).await? {
            part.write(&bytes)?;
            arrival.reached(part.length);
        }
        match part.length < part.expected {
            // Without a length in its head the end of an answer looks like this.
            true => Err(TransferError::Passing(format!(
                "the connection ended after {} of {} bytes",
                part.length, part.expected
            ))),
            false => Ok(()),
        }
    }

    /// The answer for a path of the hub from byte `start` on, wherever the hub sends us.
    async fn get(&self, path: &str, start: u64) -> Result<Response, TransferError> {
        let endpoint = &self.settings.endpoint;
        let home = Url::parse(endpoint)
            .map_err(|_| TransferError::Wrong("HF_ENDPOINT is not a URL".to_owned()))?;
        let mut url = Url::parse(&format!("{endpoint}/{path}"))
            .map_err(|_| TransferError::Wrong(format!("{path} makes no URL")))?;
        for _ in 0..REDIRECTIONS {
            let mut request = self.client.get(url.clone());
            if let Some(token) = &self.settings.token
                && url.origin() == home.origin()
            {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.0))
                    .map_err(|_| TransferError::Wrong("HF_TOKEN is not a token".to_owned()))?;
                value.set_sensitive(true);
                request = request.header(AUTHORIZATION, value);
            }
            if start > 0 {
                request = request.header(RANGE, format!("bytes={start}-"));
            }
            let response = watched(request.send()).await?.map_err(passing)?;
            let status = response.status();
            if status.is_redirection() {
                let next = response.headers().get(LOCATION);
                let next = next.and_then(|next| url.join(next.to_str().ok()?).ok());
                url = next.ok_or_else(|| {
                    TransferError::Wrong("the hub redirects to nowhere".to_owned())
                })?;
                continue;
            }
            return match status {
                _ if status.is_success() => Ok(response),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                    Err(TransferError::Passing(status.to_string()))
                }
                _ if status.is_server_error() => Err(TransferError::Passing(status.to_string())),
                status => Err(TransferError::Refused { status }),
            };
        }
        Err(TransferError::Wrong(
            "the hub redirects in circles".to_owned(),
        ))
    }
}

/// The next bytes of a body.
async fn chunk(response: &mut Response) -> Result<Option<Vec<u8>>, TransferError> {
    let bytes = watched(response.chunk()).await?.map_err(passing)?;
    Ok(bytes.map(Vec::from))
}

/// What a future gives, unless we are to stop, or nothing comes for too long.
async fn watched<T>(future: impl Future<Output = T>) -> Result<T, TransferError> {
    let mut future = std::pin::pin!(future);
    for _ in 0..PATIENCE {
        interrupt::check()?;
        if let Ok(value) = tokio::time::timeout(LOOK, &mut future).await {
            return Ok(value);
        }
    }
    Err(TransferError::Passing(
        "the server has gone silent".to_owned(),
    ))
}

/// Without the URL: a signature in it lets anyone read the file.
fn passing(error: reqwest::Error) -> TransferError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    TransferError::Passing(text)
}

/// How far one file has come, on a bar that several share.
pub(super) struct Arrival<'a> {
    progress: &'a mut Progress,
    counted: u64,
}

impl<'a> Arrival<'a> {
    pub(super) fn new(progress: &'a mut Progress) -> Self {
        Self {
            progress,
            counted: 0,
        }
    }

    /// So many bytes are there. What is lost and comes again is counted once.
    fn reached(&mut self, bytes: u64) {
        self.progress.advance(bytes.saturating_sub(self.counted));
        self.counted = self.counted.max(bytes);
    }
}

/// A file that is arriving.
struct Part {
    path: PathBuf,
    file: File,
    length: u64,
    expected: u64,
    /// Of what is there, where the name of the file is its SHA-256.
    hash: Option<Sha256>,
}

impl Part {
    fn open(path: &Path, blob: &Blob) -> Result<Self, TransferError> {
        let failed = |source| TransferError::Write {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let mut hash = (blob.name.len() == 64).then(Sha256::new);
        let mut length = file.metadata().map_err(failed)?.len();
        if length > blob.size {
            file.set_len(0).map_err(failed)?;
            length = 0;
        }
        if let Some(hash) = &mut hash {
            let mut buffer = vec![0; 1 << 20];
            loop {
                interrupt::check()?;
                match file.read(&mut buffer).map_err(failed)? {
                    0 => break,
                    count => hash.update(&buffer[..count]),
                }
            }
        }
        file.seek(SeekFrom::Start(length)).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            length,
            expected: blob.size,
            hash,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        self.file
            .write_all(bytes)
            .map_err(|source| self.failed(source))?;
        self.length += bytes.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        if self.length > self.expected {
            let detail = format!("more than the {} bytes that it has arrived", self.expected);
            let _ = self.start_again();
            return Err(TransferError::Wrong(detail));
        }
        Ok(())
    }

    fn start_again(&mut self) -> Result<(), TransferError> {
        self.file.set_len(0).map_err(|source| self.failed(source))?;
        let start = self.file.seek(SeekFrom::Start(0));
        self.length = start.map_err(|source| self.failed(source))?;
        self.hash = self.hash.as_ref().map(|_| Sha256::new());
        Ok(())
    }

    fn wrong(&mut self, blob: &Blob) -> Option<String> {
        let hash = self.hash.take()?.finalize();
        let found: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let wrong = found != blob.name;
        wrong.then(|| format!("its SHA-256 is {found}, expected {}", blob.name))
    }

    fn failed(&self, source: std::io::Error) -> TransferError {
        TransferError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

/// Keeps other processes, those of Python too, from writing the same file.
struct Lock(File);

impl Lock {
    fn take(path: &Path) -> Result<Self, TransferError> {
        let failed = |source| TransferError::Write {
            path: path.to_owned(),
            source,
        };
        let file = File::create(path).map_err(failed)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(std::fs::TryLockError::WouldBlock) => interrupt::sleep(LOOK)?,
                Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file stays: removing it could give two processes a lock each.
        let _ = self.0.unlock();
    }
}
