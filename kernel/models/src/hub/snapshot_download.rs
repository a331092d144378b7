//! Downloads all files of a model from the hub into the cache.

use std::path::{Path, PathBuf};
use std::time::Duration;

use offmodel_events::{Progress, interrupt};
use reqwest::StatusCode;

use super::HubSettings;
use super::cache::{self, INDEX, Repo};
use super::client::{CacheFolders, DownloadError, DownloadProgress, HubClient};
use super::repo_info::RepoInfo;
use crate::ModelError;

/// Consecutive attempts at one request that may fail because of the connection or the server. An
/// attempt that gets further than the one before starts the count anew.
const MAX_ATTEMPTS: u32 = 5;

/// The snapshot folder of a model: the cached one, or else a new one with everything that a model is
/// loaded from.
///
/// A complete snapshot is used without asking the hub, so a branch stays at the commit that it had
/// when it was downloaded; `ID@COMMIT` selects another.
pub(crate) fn snapshot_download(
    repo: &Repo,
    settings: &HubSettings,
) -> Result<PathBuf, ModelError> {
    if let Some(snapshot) = repo.complete_snapshot(&settings.cache) {
        return Ok(snapshot);
    }
    let model_error = |error| explain(error, repo, settings);
    if settings.offline {
        let detail = "HF_HUB_OFFLINE is set, and the cache does not have all of the model's files";
        return Err(model_error(DownloadError::Permanent(detail.to_owned())));
    }
    // On a thread of its own, because the caller may be inside a tokio runtime, where a second one
    // cannot block.
    let result = std::thread::scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| DownloadError::Permanent(error.to_string()))?;
            runtime.block_on(download(repo, settings))
        };
        scope.spawn(run).join()
    });
    match result {
        Ok(result) => result.map_err(model_error),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

async fn download(repo: &Repo, settings: &HubSettings) -> Result<PathBuf, DownloadError> {
    let client = HubClient::new(settings)?;
    let folder = repo.folder(&settings.cache);
    let (blobs, locks) = (folder.join("blobs"), repo.locks_folder(&settings.cache));
    for folder in [&blobs, &locks] {
        std::fs::create_dir_all(folder).map_err(|source| DownloadError::Write {
            path: folder.clone(),
            source,
        })?;
    }
    let Repo { id, revision } = repo;
    let path = format!("api/models/{id}/revision/{revision}?blobs=true");
    let mut retries = Retries::new(settings);
    let info = loop {
        match client.get_text(&path).await {
            Ok(text) => break RepoInfo::parse(&text).map_err(DownloadError::Permanent)?,
            Err(error) => retries.wait_or_fail(error, 0)?,
        }
    };
    let snapshot_files = SnapshotFiles {
        client: &client,
        settings,
        repo_id: id,
        info: &info,
        folder: &folder,
        cache_folders: CacheFolders {
            blobs: &blobs,
            locks: &locks,
        },
    };
    let small_files = info.small_files().map_err(DownloadError::Permanent)?;
    if !info.has(INDEX) {
        // Fails before anything is downloaded if the repository has no safetensors.
        info.weight_files(None).map_err(DownloadError::Permanent)?;
    }
    snapshot_files.download(&small_files).await?;
    let snapshot = folder.join("snapshots").join(&info.commit);
    let shards = if info.has(INDEX) {
        let path = snapshot.join(INDEX);
        let index = std::fs::read(&path).map_err(|source| DownloadError::Write { path, source })?;
        let shards = cache::shard_names(&index);
        Some(shards.map_err(|detail| DownloadError::Permanent(format!("{INDEX}: {detail}")))?)
    } else {
        None
    };
    let weight_files = info
        .weight_files(shards)
        .map_err(DownloadError::Permanent)?;
    let weight_files: Vec<&str> = weight_files.iter().map(String::as_str).collect();
    snapshot_files.download(&weight_files).await?;
    if !cache::is_commit(revision) {
        let written = cache::write_ref(&folder, revision, &info.commit);
        written.map_err(|source| DownloadError::Write {
            path: folder.join("refs"),
            source,
        })?;
    }
    Ok(snapshot)
}

/// Downloads files of one snapshot.
struct SnapshotFiles<'a> {
    client: &'a HubClient<'a>,
    settings: &'a HubSettings,
    repo_id: &'a str,
    info: &'a RepoInfo,
    folder: &'a Path,
    cache_folders: CacheFolders<'a>,
}

impl SnapshotFiles<'_> {
    /// Downloads files; each one appears in the snapshot once it is complete.
    async fn download(&self, names: &[&str]) -> Result<(), DownloadError> {
        let commit = &self.info.commit;
        let files = names
            .iter()
            .filter_map(|&name| Some((name, self.info.files.get(name)?)));
        let files: Vec<_> = files.collect();
        let total_bytes = files.iter().map(|(_, blob)| blob.size).sum();
        let label = format!("downloading {}", self.repo_id);
        let mut progress = Progress::new(label, total_bytes);
        for (name, blob) in files {
            let path = format!("{}/resolve/{commit}/{name}", self.repo_id);
            let incomplete = self.cache_folders.incomplete(blob);
            let mut retries = Retries::new(self.settings);
            let mut progress = DownloadProgress::new(&mut progress);
            while let Err(error) = self
                .client
                .download(&path, blob, self.cache_folders, &mut progress)
                .await
            {
                let received = incomplete.metadata().map_or(0, |file| file.len());
                retries.wait_or_fail(error.in_file(name), received)?;
            }
            let linked = cache::link_blob(self.folder, commit, name, &blob.etag);
            linked.map_err(|source| DownloadError::Write {
                path: self.folder.join("snapshots"),
                source,
            })?;
        }
        Ok(())
    }
}

/// The attempts at one request that are left, with exponential backoff.
struct Retries {
    attempts_left: u32,
    delay: Duration,
    received: u64,
}

impl Retries {
    fn new(settings: &HubSettings) -> Self {
        Self {
            attempts_left: MAX_ATTEMPTS,
            delay: settings.first_retry_delay,
            received: 0,
        }
    }

    /// Waits before the next attempt, or returns `error` if it is permanent or no attempt is left.
    /// `received` is the number of bytes of the file that have arrived in all attempts.
    fn wait_or_fail(&mut self, error: DownloadError, received: u64) -> Result<(), DownloadError> {
        let DownloadError::Transient(_) = error else {
            return Err(error);
        };
        if received > self.received {
            self.attempts_left = MAX_ATTEMPTS;
            self.received = received;
        }
        self.attempts_left -= 1;
        if self.attempts_left == 0 {
            return Err(error);
        }
        let delay = self.delay;
        self.delay *= 2;
        interrupt::sleep(delay)?;
        Ok(())
    }
}

/// The error of a failed download, with what the user can do about it.
fn explain(error: DownloadError, repo: &Repo, settings: &HubSettings) -> ModelError {
    let Repo { id, revision } = repo;
    let endpoint = settings.public_endpoint();
    let detail = match error {
        DownloadError::Interrupted(interrupted) => return interrupted.into(),
        DownloadError::Write { path, source } => return ModelError::Write { path, source },
        DownloadError::Status(status) => match (status, &settings.token) {
            (StatusCode::NOT_FOUND, _) => format!("it has no such model or revision {revision}"),
            (StatusCode::UNAUTHORIZED, None) => {
                "there is no such model, or it requires a token: set HF_TOKEN (401 Unauthorized)"
                    .to_owned()
            }
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                "there is no such model, or the token in HF_TOKEN is not valid (401 Unauthorized)"
                    .to_owned()
            }
            (StatusCode::FORBIDDEN, _) => format!(
                "the owner of the token in HF_TOKEN has not been given access; request it at \
                 {endpoint}/{id} (403 Forbidden)"
            ),
            (status, _) => status.to_string(),
        },
        DownloadError::Transient(detail) | DownloadError::Permanent(detail) => detail,
    };
    ModelError::Hub {
        name: id.clone(),
        endpoint,
        detail,
    }
}
