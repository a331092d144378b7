//! All files of a model, from the hub into the cache.

use std::path::{Path, PathBuf};

use offmodel_events::{Progress, interrupt};
use reqwest::StatusCode;

use super::Settings;
use super::listing::{INDEX, Listing};
use super::snapshot::{self, Repository};
use super::transfer::{Arrival, Hub, Places, TransferError};
use crate::ModelError;

/// Attempts at one file or text, as long as the connection is to blame. One that got further than
/// the last does not count.
const ATTEMPTS: u32 = 5;

/// The folder of a model: from the cache, or downloaded to it.
///
/// What the cache has whole is not looked for again, so a branch stays what it was; `NAME@COMMIT`
/// asks for another.
pub(crate) fn model(repository: &Repository, settings: &Settings) -> Result<PathBuf, ModelError> {
    if let Some(snapshot) = repository.complete_snapshot(&settings.cache) {
        return Ok(snapshot);
    }
    let failed = |error| explained(error, repository, settings);
    if settings.offline {
        let detail = "HF_HUB_OFFLINE is set, and the cache does not have it whole".to_owned();
        return Err(failed(TransferError::Wrong(detail)));
    }
    // On a thread of its own: the caller may be in a runtime already.
    let fetched = std::thread::scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| TransferError::Wrong(error.to_string()))?;
            runtime.block_on(fetch(repository, settings))
        };
        scope.spawn(run).join()
    });
    match fetched {
        Ok(result) => result.map_err(failed),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

async fn fetch(repository: &Repository, settings: &Settings) -> Result<PathBuf, TransferError> {
    let hub = Hub::new(settings)?;
    let folder = repository.folder(&settings.cache);
    let (blobs, locks) = (folder.join("blobs"), repository.locks(&settings.cache));
    for folder in [&blobs, &locks] {
        std::fs::create_dir_all(folder).map_err(|source| TransferError::Write {
            path: folder.clone(),
            source,
        })?;
    }
    let Repository { name, revision } = repository;
    let path = format!("api/models/{name}/revision/{revision}?blobs=true");
    let mut retries = Retries::new(settings);
    let listing = loop {
        match hub.text(&path).await {
            Ok(text) => break Listing::parse(&text).map_err(TransferError::Wrong)?,
            Err(error) => retries.again(error, 0)?,
        }
    };
    let download = Download {
        hub: &hub,
        settings,
        name,
        listing: &listing,
        folder: &folder,
        places: Places {
            blobs: &blobs,
            locks: &locks,
        },
    };
    let small = listing.small().map_err(TransferError::Wrong)?;
    // Before anything is fetched, where it can be told.
    if !listing.has(INDEX) {
        listing.weights(None).map_err(TransferError::Wrong)?;
    }
    download.files(&small).await?;
    let snapshot = folder.join("snapshots").join(&listing.commit);
    let index = match listing.has(INDEX) {
        false => None,
        true => {
            let path = snapshot.join(INDEX);
            let text =
                std::fs::read(&path).map_err(|source| TransferError::Write { path, source })?;
            let shards = snapshot::shards(&text);
            Some(shards.map_err(|detail| TransferError::Wrong(format!("{INDEX}: {detail}")))?)
        }
    };
    let weights = listing.weights(index).map_err(TransferError::Wrong)?;
    let weights: Vec<&str> = weights.iter().map(String::as_str).collect();
    download.files(&weights).await?;
    if !snapshot::is_commit(revision) {
        let set = snapshot::set_reference(&folder, revision, &listing.commit);
        set.map_err(|source| TransferError::Write {
            path: folder.join("refs"),
            source,
        })?;
    }
    Ok(snapshot)
}

struct Download<'a> {
    hub: &'a Hub<'a>,
    settings: &'a Settings,
    name: &'a str,
    listing: &'a Listing,
    folder: &'a Path,
    places: Places<'a>,
}

impl Download<'_> {
    /// Fetches files, of which each appears in the snapshot once it is whole.
    async fn files(&self, names: &[&str]) -> Result<(), TransferError> {
        let commit = &self.listing.commit;
        let files = names
            .iter()
            .filter_map(|&name| Some((name, self.listing.files.get(name)?)));
        let files: Vec<_> = files.collect();
        let total = files.iter().map(|(_, blob)| blob.size).sum();
        let label = format!("downloading {}", self.name);
        let mut progress = Progress::new(label, total);
        for (name, blob) in files {
            let path = format!("{}/resolve/{commit}/{name}", self.name);
            let mut retries = Retries::new(self.settings);
            let about = |error| match error {
                TransferError::Wrong(detail) => TransferError::Wrong(format!("{name}: {detail}")),
                TransferError::Passing(detail) => {
                    TransferError::Passing(format!("{name}: {detail}"))
                }
                other => other,
            };
            let incomplete = self.places.blobs.join(format!("{}.incomplete", blob.name));
            let mut arrival = Arrival::new(&mut progress);
            while let Err(error) = self.hub.file(&path, blob, self.places, &mut arrival).await {
                let arrived = incomplete.metadata().map_or(0, |found| found.len());
                retries.again(about(error), arrived)?;
            }
            let linked = snapshot::link(self.folder, commit, name, &blob.name);
            linked.map_err(|source| TransferError::Write {
                path: self.folder.join("snapshots"),
                source,
            })?;
        }
        Ok(())
    }
}

/// How often something has been tried in vain.
struct Retries {
    left: u32,
    wait: std::time::Duration,
    arrived: u64,
}

impl Retries {
    fn new(settings: &Settings) -> Self {
        Self {
            left: ATTEMPTS,
            wait: settings.patience,
            arrived: 0,
        }
    }

    /// Waits until it is time for another attempt, or gives the error back. `arrived` is what
    /// there is of the file by now.
    fn again(&mut self, error: TransferError, arrived: u64) -> Result<(), TransferError> {
        let TransferError::Passing(_) = error else {
            return Err(error);
        };
        if arrived > self.arrived {
            self.left = ATTEMPTS;
            self.arrived = arrived;
        }
        self.left -= 1;
        if self.left == 0 {
            return Err(error);
        }
        let wait = self.wait;
        self.wait *= 2;
        interrupt::sleep(wait)?;
        Ok(())
    }
}

/// The error in the words of someone who wanted a model.
fn explained(error: TransferError, repository: &Repository, settings: &Settings) -> ModelError {
    let (name, revision) = (&repository.name, &repository.revision);
    let endpoint = settings.shown_endpoint();
    let detail = match error {
        TransferError::Interrupted(interrupted) => return interrupted.into(),
        TransferError::Write { path, source } => return ModelError::Write { path, source },
        TransferError::Refused { status } => match (status, &settings.token) {
            (StatusCode::NOT_FOUND, _) => format!("it has no such model or revision {revision}"),
            (StatusCode::UNAUTHORIZED, None) => "there is no such model, or it asks for a token: \
                 set HF_TOKEN (401 Unauthorized)"
                .to_owned(),
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                "there is no such model, or it does not know the token in HF_TOKEN \
                 (401 Unauthorized)"
                    .to_owned()
            }
            (StatusCode::FORBIDDEN, _) => format!(
                "the owner of the token in HF_TOKEN has not been given access, which may be asked \
                 for at {endpoint}/{name} (403 Forbidden)"
            ),
            (status, _) => status.to_string(),
        },
        TransferError::Passing(detail) | TransferError::Wrong(detail) => detail,
    };
    ModelError::Hub {
        name: name.clone(),
        endpoint,
        detail,
    }
}
