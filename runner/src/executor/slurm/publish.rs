//! The results of tasks: found where a node published one, and written where it could not.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use offmodel_support::atomic_file;

use super::parse::TaskId;
use super::record::TaskRecord;
use crate::error::RunnerError;
use crate::executor::AttemptSpec;
use crate::executor::publish::result_without_run;
use crate::store::{AttemptResult, FailureReason, SweepFolder};

/// The last result among a task's attempts: that of the first one, or of one that followed when
/// Slurm requeued the task.
pub(super) fn latest_result(folder: &SweepFolder, task: &TaskRecord) -> Option<AttemptResult> {
    let last = folder.state(&task.trial).attempts;
    (task.attempt..=last)
        .rev()
        .find_map(|attempt| folder.result(&task.trial, attempt))
}

/// Publishes a failure for a task that ended and left no result: `end` is Slurm's word for how it
/// ended, if Slurm still knows. A result that a node publishes at the last moment wins.
///
/// # Errors
/// When the result cannot be written.
pub(super) fn publish_lost(
    folder: &SweepFolder,
    spec: &AttemptSpec,
    task: TaskId,
    end: Option<&str>,
    reason: &str,
    log: Option<&Path>,
) -> Result<AttemptResult, RunnerError> {
    let detail = [Some(reason.to_owned()), log.and_then(last_line)]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    let failure = FailureReason::Cluster {
        state: end.unwrap_or("GONE").to_owned(),
        job: task.to_string(),
        detail,
    };
    publish_unless_present(folder, spec, failure)
}

/// Publishes that a trial was cancelled, for an attempt that has ended or never began. A result that
/// a node publishes at the last moment wins.
///
/// # Errors
/// When the result cannot be written.
pub(super) fn publish_cancelled(
    folder: &SweepFolder,
    spec: &AttemptSpec,
) -> Result<AttemptResult, RunnerError> {
    publish_unless_present(folder, spec, FailureReason::Cancelled)
}

fn publish_unless_present(
    folder: &SweepFolder,
    spec: &AttemptSpec,
    failure: FailureReason,
) -> Result<AttemptResult, RunnerError> {
    let trial = &spec.trial.id;
    let last = folder.state(trial).attempts.max(spec.attempt);
    let result = AttemptResult {
        attempt: last,
        ..result_without_run(spec, failure)
    };
    if write_new(&folder.attempt(trial, last), &result)? {
        return Ok(result);
    }
    Ok(folder.result(trial, last).unwrap_or(result))
}

/// Publishes a result unless the attempt has one; returns whether it did.
///
/// The file is created under its final name only if that name is free. The server of a shared file
/// system decides that, even while this machine's view of the folder is some seconds old.
fn write_new(attempt: &Path, result: &AttemptResult) -> Result<bool, RunnerError> {
    let path = attempt.join("result.json");
    let created = serde_json::to_vec_pretty(result)
        .map_err(io::Error::other)
        .and_then(|mut text| {
            text.push(b'\n');
            atomic_file::create_new(&path, &text)
        });
    match created {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(RunnerError::Write { path, source }),
    }
}

/// The last line of a task's log, shortened and without control characters.
fn last_line(log: &Path) -> Option<String> {
    /// Bytes at the end of the log among which the line is searched.
    const TAIL_LENGTH: u64 = 4096;
    /// Characters of the line that are kept.
    const MAX_LENGTH: usize = 200;
    let mut file = fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_LENGTH)))
        .ok()?;
    let mut text = Vec::new();
    file.take(TAIL_LENGTH).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(
        line.chars()
            .filter(|c| !c.is_control())
            .take(MAX_LENGTH)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::Status;
    use crate::sweep::Trial;

    fn spec() -> AttemptSpec {
        AttemptSpec {
            trial: Trial {
                id: "a".to_owned(),
                given: Default::default(),
                parameters: Default::default(),
                data: Default::default(),
                priority: 0,
            },
            attempt: 1,
            program: "key".to_owned(),
        }
    }

    #[test]
    fn a_lost_task_fails_unless_a_result_appears_at_the_last_moment() {
        let root = tempfile::tempdir().unwrap();
        let folder = Arc::new(SweepFolder::unlocked(root.path()));
        let task = TaskId {
            array: 12,
            index: 3,
        };
        for attempt in [1, 2] {
            fs::create_dir_all(folder.attempt("a", attempt)).unwrap();
        }
        let log = root.path().join("log");
        fs::write(&log, "first\n\u{1b}[31mslurmstepd: error: gone\n\n").unwrap();
        let lost = publish_lost(&folder, &spec(), task, Some("NODE_FAIL"), "", Some(&log)).unwrap();
        assert_eq!(lost.attempt, 2, "the attempt of the last requeue");
        assert_eq!(
            lost.cause.as_ref().unwrap().to_string(),
            "the cluster took it away: NODE_FAIL, job 12_3: [31mslurmstepd: error: gone"
        );
        let record = TaskRecord {
            trial: "a".to_owned(),
            attempt: 1,
        };
        assert_eq!(latest_result(&folder, &record), Some(lost.clone()));

        let succeeded = AttemptResult {
            status: Status::Succeeded,
            cause: None,
            ..lost
        };
        succeeded.publish(&folder.attempt("a", 2)).unwrap();
        let outcome = publish_lost(&folder, &spec(), task, None, "", None).unwrap();
        assert_eq!(outcome.status, Status::Succeeded);
        assert_eq!(
            fs::read_dir(folder.attempt("a", 2)).unwrap().count(),
            1,
            "no temporary files are left"
        );
    }
}
