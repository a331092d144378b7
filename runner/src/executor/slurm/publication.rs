//! Results of tasks: found where a node published one, and written where it could not.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::answers::TaskId;
use super::record::TaskRecord;
use crate::error::RunnerError;
use crate::executor::Work;
use crate::executor::attempt::result;
use crate::store::{AttemptResult, Cause, SweepFolder};

/// The last result of a task's attempts: the first of them, or one that Slurm made when it
/// started the task again.
pub fn latest_result(folder: &SweepFolder, task: &TaskRecord) -> Option<AttemptResult> {
    let last = folder.state(&task.trial).attempts;
    (task.attempt..=last)
        .rev()
        .find_map(|attempt| folder.result(&task.trial, attempt))
}

/// Publishes what Slurm says about a task that is over and left no result. One that appears at
/// the last moment wins.
///
/// # Errors
/// When it cannot be written.
pub fn publish_lost(
    folder: &SweepFolder,
    work: &Work,
    task: TaskId,
    word: Option<&str>,
    reason: &str,
    log: Option<&Path>,
) -> Result<AttemptResult, RunnerError> {
    let detail = [Some(reason.to_owned()), log.and_then(last_words)]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    let cause = Cause::Cluster {
        state: word.unwrap_or("GONE").to_owned(),
        job: task.to_string(),
        detail,
    };
    publish_without_result(folder, work, cause)
}

/// Publishes that a trial was cancelled, of whose attempt nothing more will come. A result that
/// appears at the last moment wins.
///
/// # Errors
/// When it cannot be written.
pub fn publish_cancelled(folder: &SweepFolder, work: &Work) -> Result<AttemptResult, RunnerError> {
    publish_without_result(folder, work, Cause::Cancelled)
}

fn publish_without_result(
    folder: &SweepFolder,
    work: &Work,
    cause: Cause,
) -> Result<AttemptResult, RunnerError> {
    let last = folder.state(&work.trial.id).attempts.max(work.attempt);
    let work = Work {
        attempt: last,
        ..work.clone()
    };
    let lost = result(&work, Some(cause), None, Vec::new());
    let attempt = folder.attempt(&work.trial.id, last);
    if write_new(&attempt, &lost)? {
        return Ok(lost);
    }
    Ok(folder.result(&work.trial.id, last).unwrap_or(lost))
}

/// Publishes a result unless there is one: false if there is. The server of a shared file system
/// decides, also where our view of the folder is some seconds old.
fn write_new(attempt: &Path, lost: &AttemptResult) -> Result<bool, RunnerError> {
    let path = attempt.join("result.json");
    let failed = |source| RunnerError::Write {
        path: path.clone(),
        source,
    };
    let unpublished = tempfile::Builder::new()
        .prefix(".offmodel-lost-")
        .tempdir_in(attempt)
        .map_err(failed)?;
    lost.publish(unpublished.path())?;
    match fs::hard_link(unpublished.path().join("result.json"), &path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// The last line of a task's log, shortened and without control characters.
fn last_words(log: &Path) -> Option<String> {
    const READ: u64 = 4096;
    const KEPT: usize = 200;
    let mut file = fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(READ)))
        .ok()?;
    let mut text = Vec::new();
    file.take(READ).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(
        line.chars()
            .filter(|c| !c.is_control())
            .take(KEPT)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::Status;
    use crate::sweep::Trial;

    fn work() -> Work {
        Work {
            trial: Trial {
                id: "a".to_owned(),
                given: Default::default(),
                parameters: Default::default(),
                data: Default::default(),
                priority: 0,
            },
            attempt: 1,
            program: String::new(),
            place: Default::default(),
        }
    }

    #[test]
    fn a_loss_is_published_and_a_result_that_came_at_the_last_moment_wins() {
        let kept = tempfile::tempdir().unwrap();
        let folder = Arc::new(SweepFolder::unlocked(kept.path()));
        let task = TaskId {
            array: 12,
            index: 3,
        };
        for attempt in [1, 2] {
            fs::create_dir_all(folder.attempt("a", attempt)).unwrap();
        }
        let log = kept.path().join("log");
        fs::write(&log, "first\n\u{1b}[31mslurmstepd: error: gone\n\n").unwrap();
        let lost = publish_lost(&folder, &work(), task, Some("NODE_FAIL"), "", Some(&log)).unwrap();
        assert_eq!(lost.attempt, 2, "the one that Slurm started last");
        assert_eq!(
            lost.cause.as_ref().unwrap().to_string(),
            "the cluster took it away: NODE_FAIL, job 12_3: [31mslurmstepd: error: gone"
        );
        let record = TaskRecord {
            trial: "a".to_owned(),
            attempt: 1,
        };
        assert_eq!(latest_result(&folder, &record), Some(lost));

        let done = result(&work(), None, None, Vec::new());
        let done = AttemptResult { attempt: 2, ..done };
        done.publish(&folder.attempt("a", 2)).unwrap();
        let outcome = publish_lost(&folder, &work(), task, None, "", None).unwrap();
        assert_eq!(outcome.status, Status::Succeeded);
        assert_eq!(
            fs::read_dir(folder.attempt("a", 2)).unwrap().count(),
            1,
            "nothing else is left there"
        );
    }
}
