//! A sweep's folder: where everything lies, and what the trials in it came to.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{check_writable, failed_to_write, write_atomically, write_json};
use super::{
    AttemptResult, RESULT_VERSION, RunnerRecord, SpecRecord, Submission, SweepLock, TrialStatus,
    TrialSummary, active_runner,
};
use crate::error::RunnerError;

const SUBMISSION_FILE: &str = "submission.json";
const SPEC_FILE: &str = "spec.json";
const RESULT_FILE: &str = "result.json";

/// The folder of a sweep, locked for writing or read-only.
#[derive(Debug)]
pub struct SweepFolder {
    path: PathBuf,
    /// Held while this value lives, if the folder was opened for writing.
    _lock: Option<SweepLock>,
}

impl SweepFolder {
    /// Creates the folder if it does not exist, and locks it for a runner of `workers` trials at
    /// once.
    ///
    /// # Errors
    /// [`RunnerError::Busy`] if another runner holds the lock, [`RunnerError::Write`] if the folder
    /// cannot be written.
    pub fn open_locked(path: &Path, workers: usize) -> Result<Self, RunnerError> {
        fs::create_dir_all(path).map_err(|source| failed_to_write(path, source))?;
        check_writable(path)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: Some(SweepLock::acquire(path, workers)?),
        })
    }

    /// Opens the folder of an existing sweep without locking it.
    ///
    /// # Errors
    /// [`RunnerError::NotASweep`], if it has no `sweep.toml`.
    pub fn open_read_only(path: &Path) -> Result<Self, RunnerError> {
        let folder = Self::at(path);
        if !folder.sweep_file().is_file() {
            return Err(RunnerError::NotASweep {
                path: path.to_owned(),
            });
        }
        Ok(folder)
    }

    /// The folder at `path`, not locked. It need not exist: then every trial is new.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            _lock: None,
        }
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sweep's name.
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The path of the sweep file as submitted.
    pub fn sweep_file(&self) -> PathBuf {
        self.path.join("sweep.toml")
    }

    /// The path of the notebook as submitted.
    pub fn notebook_file(&self) -> PathBuf {
        self.path.join("notebook.ipynb")
    }

    /// The runner that is at work on the sweep.
    pub fn runner(&self) -> Option<RunnerRecord> {
        active_runner(&self.path)
    }

    /// Unlocks the folder, and removes it if nothing was submitted to it.
    pub fn discard(self) {
        let path = self.path.clone();
        drop(self);
        SweepLock::remove_file(&path);
        // Fails on a folder with content, which stays.
        let _ = fs::remove_dir(&path);
    }

    /// Stores the submission with its sweep file and notebook.
    ///
    /// # Errors
    /// [`RunnerError::Write`].
    pub fn submit(
        &self,
        sweep: &str,
        notebook: &str,
        submission: &Submission,
    ) -> Result<(), RunnerError> {
        // First, because the ids of trials with data cannot be computed without it.
        write_json(&self.path.join(SUBMISSION_FILE), submission)?;
        write_atomically(&self.notebook_file(), notebook.as_bytes())?;
        write_atomically(&self.sweep_file(), sweep.as_bytes())
    }

    /// The last submission. None before the first one, and in sweeps of the earliest versions of
    /// offmodel.
    pub fn submission(&self) -> Option<Submission> {
        Submission::parse(&fs::read_to_string(self.path.join(SUBMISSION_FILE)).ok()?)
    }

    /// The folder of a trial.
    pub fn trial(&self, trial: &str) -> PathBuf {
        self.path.join(format!("trial-{trial}"))
    }

    /// The folder of an attempt.
    pub fn attempt(&self, trial: &str, attempt: usize) -> PathBuf {
        self.trial(trial).join(format!("attempt-{attempt}"))
    }

    /// Creates the folder of a new attempt, with its `spec.json`.
    ///
    /// # Errors
    /// [`RunnerError::Busy`] if the folder exists, which only a second runner can have created;
    /// [`RunnerError::Write`].
    pub fn create_attempt(&self, spec: &SpecRecord) -> Result<PathBuf, RunnerError> {
        let folder = self.attempt(&spec.trial, spec.attempt);
        fs::create_dir_all(self.trial(&spec.trial))
            .and_then(|()| fs::create_dir(&folder))
            .map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => RunnerError::Busy {
                    folder: self.path.clone(),
                    holder: self.runner().map(Box::new),
                },
                _ => failed_to_write(&folder, source),
            })?;
        spec.write(&folder)?;
        Ok(folder)
    }

    /// The status of a trial, from the results of its attempts: succeeded if one of them
    /// succeeded, otherwise that of the last one.
    ///
    /// A result that is unreadable or of another version counts as absent, so the trial runs again.
    pub fn summary(&self, trial: &str) -> TrialSummary {
        let mut numbers = self.attempts(trial);
        numbers.sort_unstable();
        let attempts = numbers.last().copied().unwrap_or_default();
        let mut summary = TrialSummary {
            attempts,
            status: TrialStatus::New,
            result: None,
        };
        for number in numbers.into_iter().rev() {
            let result = self.result(trial, number);
            let status = match &result {
                Some(result) => result.status,
                None => TrialStatus::Unfinished,
            };
            if status == TrialStatus::Succeeded || summary.status == TrialStatus::New {
                summary.status = status;
                summary.result = result;
            }
            if status == TrialStatus::Succeeded {
                break;
            }
        }
        summary
    }

    /// The result of an attempt, if it has one of a known version.
    pub fn result(&self, trial: &str, attempt: usize) -> Option<AttemptResult> {
        let text = fs::read_to_string(self.attempt(trial, attempt).join(RESULT_FILE)).ok()?;
        let result: AttemptResult = serde_json::from_str(&text).ok()?;
        let is_valid =
            result.version == RESULT_VERSION && result.trial == trial && result.status.is_final();
        is_valid.then_some(result)
    }

    /// The `spec.json` of an attempt, if it is readable.
    pub fn spec(&self, trial: &str, attempt: usize) -> Option<SpecRecord> {
        let text = fs::read_to_string(self.attempt(trial, attempt).join(SPEC_FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The ids of trials in the folder that are not among `current`, sorted. They belong to another
    /// version of the notebook or its data, or to another grid.
    pub fn other_trials(&self, current: &HashSet<&str>) -> Vec<String> {
        let mut others: Vec<String> = entries(&self.path)
            .filter_map(|name| Some(name.strip_prefix("trial-")?.to_owned()))
            .filter(|trial| !current.contains(trial.as_str()))
            .collect();
        others.sort_unstable();
        others
    }

    /// The numbers of a trial's attempts, in no particular order.
    pub fn attempts(&self, trial: &str) -> Vec<usize> {
        entries(&self.trial(trial))
            .filter_map(|name| name.strip_prefix("attempt-")?.parse().ok())
            .collect()
    }
}

impl AttemptResult {
    /// Writes `result.json` into the attempt's folder, which ends the attempt.
    ///
    /// # Errors
    /// [`RunnerError::Write`].
    pub fn publish(&self, folder: &Path) -> Result<(), RunnerError> {
        write_json(&folder.join(RESULT_FILE), self)
    }
}

impl SpecRecord {
    /// Writes `spec.json` into the attempt's folder.
    ///
    /// # Errors
    /// [`RunnerError::Write`].
    pub fn write(&self, folder: &Path) -> Result<(), RunnerError> {
        write_json(&folder.join(SPEC_FILE), self)
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(folder: &SweepFolder, attempt: usize, status: &str) {
        let path = folder.attempt("ab", attempt);
        fs::create_dir_all(&path).unwrap();
        let text = format!(
            r#"{{"version":1,"trial":"ab","attempt":{attempt},"status":"{status}","cause":null,"ended":"2026-01-01T00:00:00Z","seconds":1.0,"peak_memory":1,"frames":[]}}"#
        );
        fs::write(path.join(RESULT_FILE), text).unwrap();
    }

    fn status(folder: &SweepFolder) -> (usize, TrialStatus, Option<usize>) {
        let summary = folder.summary("ab");
        let decisive = summary.result.map(|result| result.attempt);
        (summary.attempts, summary.status, decisive)
    }

    #[test]
    fn one_success_decides_and_otherwise_the_last_attempt() {
        let room = tempfile::tempdir().unwrap();
        let folder = SweepFolder::at(room.path());
        assert_eq!(status(&folder), (0, TrialStatus::New, None));
        publish(&folder, 1, "failed");
        assert_eq!(status(&folder), (1, TrialStatus::Failed, Some(1)));
        fs::create_dir(folder.attempt("ab", 2)).unwrap();
        assert_eq!(status(&folder), (2, TrialStatus::Unfinished, None));
        publish(&folder, 2, "succeeded");
        publish(&folder, 10, "cancelled");
        assert_eq!(status(&folder), (10, TrialStatus::Succeeded, Some(2)));
    }

    #[test]
    fn a_result_that_is_not_final_counts_as_absent() {
        let room = tempfile::tempdir().unwrap();
        let folder = SweepFolder::at(room.path());
        publish(&folder, 1, "running");
        assert_eq!(status(&folder), (1, TrialStatus::Unfinished, None));
    }
}
