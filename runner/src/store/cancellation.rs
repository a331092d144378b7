//! Requests to cancel single trials: files `cancel/TRIAL.json`, by which any process reaches the
//! runner of a sweep, on whichever machine it is.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::SweepFolder;
use super::files::{failed_to_write, write_atomically};
use crate::error::RunnerError;

/// The version of a request.
const VERSION: u64 = 1;

/// A request; the name of its file is the trial's id.
#[derive(Debug, Serialize)]
struct CancelRequest {
    version: u64,
    /// When it was made, in RFC 3339.
    requested: String,
}

impl SweepFolder {
    /// Asks the runner of the sweep to cancel a trial.
    ///
    /// # Errors
    /// [`RunnerError::Write`].
    pub fn request_cancel(&self, trial: &str) -> Result<(), RunnerError> {
        let path = request_file(self.path(), trial);
        fs::create_dir_all(requests_folder(self.path()))
            .map_err(|source| failed_to_write(&path, source))?;
        let request = CancelRequest {
            version: VERSION,
            requested: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        };
        let text =
            serde_json::to_vec(&request).map_err(|error| failed_to_write(&path, error.into()))?;
        write_atomically(&path, &text)
    }

    /// The ids of the trials that are to be cancelled, sorted.
    pub fn cancel_requests(&self) -> Vec<String> {
        let mut trials: Vec<String> = fs::read_dir(requests_folder(self.path()))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let trial = name.strip_suffix(".json")?;
                // Files that are still being written begin with a dot.
                (!trial.starts_with('.')).then(|| trial.to_owned())
            })
            .collect();
        trials.sort_unstable();
        trials
    }

    /// Removes the request for a trial that has finished, or that is to run after all.
    pub fn clear_cancel_request(&self, trial: &str) {
        // Fails if there is none. On a full or read-only disk, publishing results fails too, and
        // that error is reported.
        let _ = fs::remove_file(request_file(self.path(), trial));
        // Fails while there are other requests.
        let _ = fs::remove_dir(requests_folder(self.path()));
    }
}

fn requests_folder(folder: &Path) -> PathBuf {
    folder.join("cancel")
}

fn request_file(folder: &Path, trial: &str) -> PathBuf {
    requests_folder(folder).join(format!("{trial}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_listed_until_it_is_cleared_and_leaves_nothing_behind() {
        let room = tempfile::tempdir().unwrap();
        let folder = SweepFolder::at(room.path());
        assert!(folder.cancel_requests().is_empty());
        folder.request_cancel("b").unwrap();
        folder.request_cancel("a").unwrap();
        folder.request_cancel("a").unwrap();
        fs::write(room.path().join("cancel/.offmodel-half.json"), "{").unwrap();
        assert_eq!(folder.cancel_requests(), ["a", "b"]);
        fs::remove_file(room.path().join("cancel/.offmodel-half.json")).unwrap();
        folder.clear_cancel_request("a");
        assert_eq!(folder.cancel_requests(), ["b"]);
        folder.clear_cancel_request("b");
        folder.clear_cancel_request("b");
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
    }
}
