use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::attempt::{AttemptResult, RESULT_VERSION, SpecRecord, Status};
use super::runner::{Hold, RunnerRecord, runner_at_work};
use super::submission::Submission;
use super::{check_writable, write_atomically};
use crate::error::RunnerError;

/// A sweep's folder.
#[derive(Debug)]
pub struct SweepFolder {
    path: PathBuf,
    /// Held as long as this value lives, if it was opened for writing.
    _hold: Option<Hold>,
}

/// The file of [`Submission`].
const SUBMISSION: &str = "submission.json";

/// Where a trial stands.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialState {
    /// The highest number of its attempts, 0 if there is none.
    pub attempts: usize,
    /// What they tell.
    pub standing: Standing,
}

/// Whether a trial is done, and if not, why it is to run.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It never ran.
    New,
    /// An attempt succeeded.
    Succeeded(AttemptResult),
    /// The last attempt that ended failed.
    Failed(AttemptResult),
    /// The last attempt that ended was cancelled.
    Cancelled(AttemptResult),
    /// The last attempt has no result: it was interrupted, or is running.
    Unfinished,
}

impl SweepFolder {
    /// Opens a sweep's folder for writing, creating it if need be, and holds it for a runner of
    /// `workers` trials at once.
    ///
    /// # Errors
    /// When the folder cannot be written, or another process holds it.
    pub fn open(path: &Path, workers: usize) -> Result<Self, RunnerError> {
        fs::create_dir_all(path).map_err(|source| RunnerError::Write {
            path: path.to_owned(),
            source,
        })?;
        check_writable(path)?;
        Ok(Self {
            path: path.to_owned(),
            _hold: Some(Hold::take(path, workers)?),
        })
    }

    /// Opens a sweep's folder to look at it.
    ///
    /// # Errors
    /// When it is not a sweep's folder.
    pub fn view(path: &Path) -> Result<Self, RunnerError> {
        if !path.join("sweep.toml").is_file() {
            return Err(RunnerError::NotASweep {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            _hold: None,
        })
    }

    /// A folder to look at, which need not exist: without it, every trial is new.
    pub fn unlocked(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            _hold: None,
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sweep's name.
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The sweep file as submitted.
    pub fn sweep_file(&self) -> PathBuf {
        self.path.join("sweep.toml")
    }

    /// The notebook as submitted.
    pub fn notebook_file(&self) -> PathBuf {
        self.path.join("notebook.ipynb")
    }

    /// The runner that is at work on the sweep, if there is one.
    pub fn runner(&self) -> Option<RunnerRecord> {
        runner_at_work(&self.path)
    }

    /// Lets go of the folder, and removes it if nothing was submitted into it.
    pub fn abandon(self) {
        let path = self.path.clone();
        drop(self);
        Hold::forget(&path);
        // Fails, as it should, on a folder with content.
        let _ = fs::remove_dir(&path);
    }

    /// Keeps sweep file and notebook as submitted, and where they came from.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn submit(
        &self,
        sweep: &str,
        notebook: &str,
        submission: &Submission,
    ) -> Result<(), RunnerError> {
        // First: without it, trials with data could not be named.
        write_json(&self.path.join(SUBMISSION), submission)?;
        write_atomically(&self.notebook_file(), notebook.as_bytes())?;
        write_atomically(&self.sweep_file(), sweep.as_bytes())
    }

    /// Where the sweep came from; `None` where that was not kept yet, or nothing was submitted.
    pub fn submission(&self) -> Option<Submission> {
        Submission::parse(&fs::read_to_string(self.path.join(SUBMISSION)).ok()?)
    }

    /// The folder of a trial.
    pub fn trial(&self, trial: &str) -> PathBuf {
        self.path.join(format!("trial-{trial}"))
    }

    /// The folder of an attempt.
    pub fn attempt(&self, trial: &str, attempt: usize) -> PathBuf {
        self.trial(trial).join(format!("attempt-{attempt}"))
    }

    /// Creates the folder of a new attempt with its `spec.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create_attempt(&self, spec: &SpecRecord) -> Result<PathBuf, RunnerError> {
        let folder = self.attempt(&spec.trial, spec.attempt);
        let trial = self.trial(&spec.trial);
        fs::create_dir_all(&trial)
            .and_then(|()| fs::create_dir(&folder))
            .map_err(|source| match source.kind() {
                // Nobody but a second runner makes an attempt of this number.
                io::ErrorKind::AlreadyExists => RunnerError::Busy {
                    folder: self.path.clone(),
                    holder: self.runner().map(Box::new),
                },
                _ => RunnerError::Write {
                    path: folder.clone(),
                    source,
                },
            })?;
        spec.write(&folder)?;
        Ok(folder)
    }

    /// Where a trial stands. Files that are not what they should be count as not there: then the
    /// trial runs again.
    pub fn state(&self, trial: &str) -> TrialState {
        let mut numbers = self.attempts(trial);
        numbers.sort_unstable_by(|left, right| right.cmp(left));
        let attempts = numbers.first().copied().unwrap_or_default();
        let mut standing = None;
        for number in numbers {
            match self.result(trial, number) {
                Some(result) if result.status == Status::Succeeded => {
                    return TrialState {
                        attempts,
                        standing: Standing::Succeeded(result),
                    };
                }
                Some(result) if result.status == Status::Cancelled => {
                    standing.get_or_insert(Standing::Cancelled(result));
                }
                Some(result) => {
                    standing.get_or_insert(Standing::Failed(result));
                }
                None => {
                    standing.get_or_insert(Standing::Unfinished);
                }
            }
        }
        TrialState {
            attempts,
            standing: standing.unwrap_or(Standing::New),
        }
    }

    /// The result of an attempt, if it has one of a version we know.
    pub fn result(&self, trial: &str, attempt: usize) -> Option<AttemptResult> {
        let text = fs::read_to_string(self.attempt(trial, attempt).join("result.json")).ok()?;
        let result: AttemptResult = serde_json::from_str(&text).ok()?;
        (result.version == RESULT_VERSION && result.trial == trial).then_some(result)
    }

    /// What an attempt was asked to do, if that is readable.
    pub fn spec(&self, trial: &str, attempt: usize) -> Option<SpecRecord> {
        let text = fs::read_to_string(self.attempt(trial, attempt).join("spec.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The trials in the folder that are not among those given: of another version of the
    /// notebook or its data, or of another grid. Sorted.
    pub fn other_trials(&self, current: &HashSet<&str>) -> Vec<String> {
        let mut others: Vec<String> = entries(&self.path)
            .filter_map(|name| Some(name.strip_prefix("trial-")?.to_owned()))
            .filter(|trial| !current.contains(trial.as_str()))
            .collect();
        others.sort_unstable();
        others
    }

    /// The numbers of a trial's attempts, in no order.
    pub fn attempts(&self, trial: &str) -> Vec<usize> {
        entries(&self.trial(trial))
            .filter_map(|name| name.strip_prefix("attempt-")?.parse().ok())
            .collect()
    }
}

/// Writes a structure as readable JSON.
fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), RunnerError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| RunnerError::Write {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    })?;
    text.push(b'\n');
    write_atomically(path, &text)
}

impl AttemptResult {
    /// Publishes the result in its attempt's folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn publish(&self, folder: &Path) -> Result<(), RunnerError> {
        write_json(&folder.join("result.json"), self)
    }
}

impl SpecRecord {
    /// Writes `spec.json` into an attempt's folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), RunnerError> {
        write_json(&folder.join("spec.json"), self)
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
}
