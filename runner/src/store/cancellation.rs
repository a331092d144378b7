//! Trials that somebody wants to have cancelled, as a sweep's folder tells its runner, wherever
//! that is: `cancel/TRIAL.json`, until the trial is over.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{SweepFolder, write_atomically};
use crate::error::RunnerError;

/// The version of a request.
const VERSION: u64 = 1;

/// A request; the name of its file tells the trial.
#[derive(Debug, Serialize)]
struct CancelRequest {
    version: u64,
    /// When, in RFC 3339.
    requested: String,
}

impl SweepFolder {
    /// Asks whoever runs a trial to cancel it.
    ///
    /// # Errors
    /// When the request cannot be written.
    pub fn request_cancel(&self, trial: &str) -> Result<(), RunnerError> {
        let path = request(self.path(), trial);
        let failed = |source| RunnerError::Write {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(requests(self.path())).map_err(failed)?;
        let request = CancelRequest {
            version: VERSION,
            requested: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        };
        let text = serde_json::to_vec(&request).map_err(|error| failed(error.into()))?;
        write_atomically(&path, &text)
    }

    /// The trials that are to be cancelled, sorted.
    pub fn cancel_requests(&self) -> Vec<String> {
        let mut trials: Vec<String> = fs::read_dir(requests(self.path()))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                // Files being written begin with a dot.
                let trial = name.strip_suffix(".json")?;
                (!trial.starts_with('.')).then(|| trial.to_owned())
            })
            .collect();
        trials.sort_unstable();
        trials
    }

    /// The trial is over, or is to run after all.
    pub fn settle_cancel_request(&self, trial: &str) {
        // Gone already, or the folder cannot be written: then results cannot either, and say so.
        let _ = fs::remove_file(request(self.path(), trial));
        // Fails, as it should, while there are others.
        let _ = fs::remove_dir(requests(self.path()));
    }
}

fn requests(folder: &Path) -> PathBuf {
    folder.join("cancel")
}

fn request(folder: &Path, trial: &str) -> PathBuf {
    requests(folder).join(format!("{trial}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_stands_until_it_is_settled_and_leaves_nothing() {
        let kept = tempfile::tempdir().unwrap();
        let folder = SweepFolder::unlocked(kept.path());
        assert!(folder.cancel_requests().is_empty());
        folder.request_cancel("b").unwrap();
        folder.request_cancel("a").unwrap();
        folder.request_cancel("a").unwrap();
        fs::write(kept.path().join("cancel/.offmodel-half"), "{").unwrap();
        assert_eq!(folder.cancel_requests(), ["a", "b"]);
        fs::remove_file(kept.path().join("cancel/.offmodel-half")).unwrap();
        folder.settle_cancel_request("a");
        assert_eq!(folder.cancel_requests(), ["b"]);
        folder.settle_cancel_request("b");
        folder.settle_cancel_request("b");
        assert_eq!(fs::read_dir(kept.path()).unwrap().count(), 0);
    }
}
