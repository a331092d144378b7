//! The records of job arrays on disk: enough to find the jobs again after the runner was killed, and
//! all that a node needs to make an attempt.
//!
//! ```text
//! runs/SWEEP/slurm/ARRAY.json      the record of one job array
//!                 /ARRAY.sh        its batch script
//!                 /ARRAY.ipynb     the notebook as submitted
//!                 /ARRAY-INDEX.log the output of `offmodel attempt` for one task
//!                 /program-KEY     the compiled notebook
//! ```
//!
//! A record is written without the job's number before `sbatch` is called, and again with it. A
//! runner that finds a record without a number looks for the job by its name, `ARRAY`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::commands::SlurmError;
use super::parse::ArrayId;
use crate::error::RunnerError;
use crate::executor::process::Limits;
use crate::store::{SweepFolder, write_atomically};
use crate::sweep::Policy;

/// The version of the format.
const VERSION: u64 = 1;

/// The record of a job array.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArrayRecord {
    /// Format version; readers reject others.
    pub version: u64,
    /// The job's name, unique among all arrays.
    pub name: String,
    /// The job's number, once Slurm has given it one.
    pub job: Option<ArrayId>,
    /// Whether the array is over. A task of it that starts nevertheless does nothing.
    pub closed: bool,
    /// When the array was submitted, in RFC 3339.
    pub submitted: String,
    /// The version of offmodel that submitted it.
    pub offmodel: String,
    /// The file name of the compiled notebook, in the record's folder.
    pub program: String,
    /// The working directory of cells: the notebook's folder.
    pub directory: PathBuf,
    /// The most seconds that an attempt may take.
    pub timeout: Option<f64>,
    /// The most resident memory of an attempt, in bytes.
    pub memory: Option<u64>,
    /// The size of an attempt's thread pools; `None`: all cores that Slurm gives.
    pub cores: Option<usize>,
    /// The tasks, by their index in the array.
    pub tasks: Vec<TaskRecord>,
}

/// A task of an array: the attempts at one trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The trial.
    pub trial: String,
    /// The number of the first attempt. Each time that Slurm requeues the task, it makes another
    /// attempt with the next number.
    pub attempt: usize,
}

impl ArrayRecord {
    /// A record of an array that is yet to be submitted.
    pub fn new(
        name: String,
        program: String,
        directory: PathBuf,
        policy: &Policy,
        tasks: Vec<TaskRecord>,
    ) -> Self {
        Self {
            version: VERSION,
            name,
            job: None,
            closed: false,
            submitted: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            offmodel: env!("CARGO_PKG_VERSION").to_owned(),
            program,
            directory,
            timeout: policy.timeout.map(|limit| limit.as_secs_f64()),
            memory: policy.resources.memory,
            cores: policy.resources.cores,
            tasks,
        }
    }

    /// The limits of an attempt.
    pub(in crate::executor) fn limits(&self) -> Limits {
        Limits {
            timeout: self
                .timeout
                .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok()),
            memory: self.memory,
        }
    }

    /// Reads the record at `path`.
    ///
    /// # Errors
    /// When the file is missing, damaged, or of another version.
    pub fn read(path: &Path) -> Result<Self, SlurmError> {
        let unreadable = |reason: String| SlurmError::Record {
            path: path.to_owned(),
            reason,
        };
        let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let record: Self =
            serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        if record.version != VERSION {
            return Err(unreadable(format!(
                "version {}, expected {VERSION}",
                record.version
            )));
        }
        Ok(record)
    }

    /// Writes the record into a sweep's folder.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, folder: &SweepFolder) -> Result<(), RunnerError> {
        let path = self.file(folder, ".json");
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| RunnerError::Write {
            path: path.clone(),
            source: std::io::Error::other(error),
        })?;
        text.push(b'\n');
        write_atomically(&path, &text)
    }

    /// The path of one of the array's files: the array's name followed by `suffix`.
    pub fn file(&self, folder: &SweepFolder, suffix: &str) -> PathBuf {
        records(folder).join(format!("{}{suffix}", self.name))
    }
}

/// The folder of a sweep's records.
pub(super) fn records(folder: &SweepFolder) -> PathBuf {
    folder.path().join("slurm")
}

/// The records of arrays that may have tasks in Slurm, the oldest first.
///
/// # Errors
/// When a record is unreadable: then it is unknown which jobs there are.
pub(super) fn open_records(folder: &SweepFolder) -> Result<Vec<ArrayRecord>, SlurmError> {
    let mut open = Vec::new();
    for entry in fs::read_dir(records(folder))
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let record = ArrayRecord::read(&path)?;
            if !record.closed {
                open.push(record);
            }
        }
    }
    open.sort_by(|left, right| left.submitted.cmp(&right.submitted));
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_this_version_stays_readable() {
        let written = r#"{"version":1,"name":"nightly.0a1b2c3d","job":17,"closed":false,"submitted":"2026-01-01T00:00:00Z","offmodel":"0.1.0","program":"program-k","directory":"/home/x","timeout":1.5,"memory":1024,"cores":2,"tasks":[{"trial":"00112233445566aa","attempt":1}]}"#;
        let record: ArrayRecord = serde_json::from_str(written).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), written);
        assert_eq!(
            record.limits().timeout,
            Some(std::time::Duration::from_millis(1500))
        );
    }

    #[test]
    fn closed_records_are_skipped_and_unreadable_ones_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let folder = SweepFolder::unlocked(folder.path());
        assert!(open_records(&folder).unwrap().is_empty());
        fs::create_dir_all(records(&folder)).unwrap();
        let mut record = ArrayRecord::new(
            "a".to_owned(),
            "program-k".to_owned(),
            PathBuf::new(),
            &Policy::default(),
            Vec::new(),
        );
        record.write(&folder).unwrap();
        assert_eq!(open_records(&folder).unwrap(), [record.clone()]);
        record.closed = true;
        record.write(&folder).unwrap();
        assert!(open_records(&folder).unwrap().is_empty());
        record.version = 2;
        record.closed = false;
        record.write(&folder).unwrap();
        let error = open_records(&folder).unwrap_err().to_string();
        assert!(error.contains("version 2, expected 1"), "{error}");
    }
}
