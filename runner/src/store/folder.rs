use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::attempt::{AttemptResult, AttemptSpec, RESULT_VERSION, Status};
use super::{check_writable, write_atomically};
use crate::error::RunnerError;

/// A sweep's folder.
#[derive(Debug)]
pub struct SweepFolder {
    path: PathBuf,
    /// Held as long as this value lives, if it was opened for writing.
    _lock: Option<File>,
}

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
    /// The last attempt has no result: it was interrupted, or is running.
    Unfinished,
}

impl SweepFolder {
    /// Opens a sweep's folder for writing, creating it if need be, and locks it.
    ///
    /// # Errors
    /// When the folder cannot be written, or another process holds it.
    pub fn open(path: &Path) -> Result<Self, RunnerError> {
        let unwritable = |source| RunnerError::Write {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(unwritable)?;
        check_writable(path)?;
        let lock = File::open(path).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: Some(lock),
            }),
            Err(TryLockError::WouldBlock) => Err(RunnerError::Busy {
                folder: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(unwritable(source)),
        }
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
            _lock: None,
        })
    }

    /// A folder to look at, which need not exist: without it, every trial is new.
    pub fn unlocked(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            _lock: None,
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sweep file as submitted.
    pub fn sweep_file(&self) -> PathBuf {
        self.path.join("sweep.toml")
    }

    /// The notebook as submitted.
    pub fn notebook_file(&self) -> PathBuf {
        self.path.join("notebook.ipynb")
    }

    /// Whether another process runs the sweep at this moment.
    pub fn is_running(&self) -> bool {
        File::open(&self.path)
            .is_ok_and(|folder| matches!(folder.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Removes the folder if nothing was written into it.
    pub fn remove_if_empty(&self) {
        // Fails, as it should, on a folder with content.
        let _ = fs::remove_dir(&self.path);
    }

    /// Keeps sweep file and notebook as submitted.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn submit(&self, sweep: &str, notebook: &str) -> Result<(), RunnerError> {
        write_atomically(&self.sweep_file(), sweep.as_bytes())?;
        write_atomically(&self.notebook_file(), notebook.as_bytes())
    }

    /// The folder of an attempt.
    pub fn attempt(&self, trial: &str, attempt: usize) -> PathBuf {
        self.path
            .join(format!("trial-{trial}"))
            .join(format!("attempt-{attempt}"))
    }

    /// Creates the folder of a new attempt with its `spec.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create_attempt(&self, spec: &AttemptSpec) -> Result<PathBuf, RunnerError> {
        let folder = self.attempt(&spec.trial, spec.attempt);
        fs::create_dir_all(&folder).map_err(|source| RunnerError::Write {
            path: folder.clone(),
            source,
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

    /// How many trials lie in the folder that are not among those given: of another version of
    /// the notebook, or of another grid.
    pub fn other_trials(&self, current: &std::collections::HashSet<&str>) -> usize {
        entries(&self.path)
            .filter_map(|name| Some(name.strip_prefix("trial-")?.to_owned()))
            .filter(|trial| !current.contains(trial.as_str()))
            .count()
    }

    fn attempts(&self, trial: &str) -> Vec<usize> {
        entries(&self.path.join(format!("trial-{trial}")))
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

impl AttemptSpec {
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
