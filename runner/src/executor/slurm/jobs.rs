//! The jobs of a sweep in Slurm, seen without its runner: by a new runner, or by `offmodel status`,
//! `logs`, `cancel` and `clean`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::commands::{self, SlurmError};
use super::parse::{ArrayId, JobState, TaskId, TaskStatus};
use super::publish::latest_result;
use super::record::{ArrayRecord, open_records};
use crate::error::RunnerError;
use crate::store::SweepFolder;

/// How long to wait for the end of cancelled jobs: longer than the time that Slurm gives them to end
/// by themselves (`KillWait`, half a minute by default).
const CANCEL_TIMEOUT: Duration = Duration::from_secs(90);

const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How long `offmodel status` waits for Slurm: a person waits for its output.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Jobs that wait or run.
#[derive(Debug, Default)]
pub struct LiveJobs {
    /// The records of their arrays.
    pub arrays: BTreeMap<ArrayId, ArrayRecord>,
    /// Their tasks by trial.
    pub trials: HashMap<String, LiveTask>,
}

/// A task that waits or runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveTask {
    /// The task.
    pub task: TaskId,
    /// The number of its first attempt.
    pub attempt: usize,
    /// The task's state; never one that has ended.
    pub state: JobState,
    /// Why it is in that state, in Slurm's words; may be empty.
    pub reason: String,
}

/// The jobs of a sweep that wait or run, for a user who waits. `None` if there can be none, so that
/// Slurm need not be asked: none was submitted, or each has published its result.
///
/// # Errors
/// When the record of an array is unreadable, or Slurm does not answer soon.
pub async fn query_live_jobs(folder: &SweepFolder) -> Result<Option<LiveJobs>, SlurmError> {
    let mut records = open_records(folder)?;
    records.retain(|record| {
        let mut tasks = record.tasks.iter();
        tasks.any(|task| latest_result(folder, task).is_none())
    });
    if records.is_empty() {
        return Ok(None);
    }
    match timeout(QUERY_TIMEOUT, live_jobs_of(records)).await {
        Ok(live) => live.map(Some),
        Err(_) => Err(SlurmError::Unreachable {
            command: "squeue",
            message: format!("nothing for {} s", QUERY_TIMEOUT.as_secs()),
        }),
    }
}

/// Whether a sweep may have jobs in Slurm, by its records alone.
///
/// # Errors
/// When the record of an array is unreadable.
pub fn may_have_jobs(folder: &SweepFolder) -> Result<bool, SlurmError> {
    Ok(!open_records(folder)?.is_empty())
}

/// Checks that a sweep has no jobs in Slurm, before it runs on this machine.
///
/// # Errors
/// When there are some, or Slurm does not answer.
pub async fn ensure_no_jobs(folder: &SweepFolder) -> Result<(), RunnerError> {
    if !may_have_jobs(folder)? {
        return Ok(());
    }
    let live = list_jobs_and_update_records(folder).await?;
    if live.arrays.is_empty() {
        return Ok(());
    }
    let jobs: Vec<String> = live.arrays.keys().map(ToString::to_string).collect();
    Err(SlurmError::StillThere {
        folder: folder.path().to_owned(),
        jobs: jobs.join(", "),
    }
    .into())
}

/// Cancels all jobs of a sweep, waits for their end, and returns how many tasks there were.
///
/// # Errors
/// When Slurm does not answer, or jobs do not end.
pub async fn cancel_jobs(folder: &SweepFolder) -> Result<usize, SlurmError> {
    let before = list_jobs(folder).await?;
    let arrays: Vec<ArrayId> = before.arrays.keys().copied().collect();
    commands::cancel(&arrays).await?;
    let began = Instant::now();
    let mut left = before.trials.len();
    while left > 0 {
        if began.elapsed() > CANCEL_TIMEOUT {
            return Err(SlurmError::Remaining { left });
        }
        sleep(CANCEL_POLL_INTERVAL).await;
        left = list_jobs(folder).await?.trials.len();
    }
    Ok(before.trials.len())
}

/// Cancels the jobs of some trials and waits for their end. The caller must hold the folder's lock.
///
/// # Errors
/// When Slurm does not answer, jobs do not end, or a record cannot be written.
pub async fn cancel_trials(
    folder: &SweepFolder,
    trials: &HashSet<&str>,
) -> Result<(), RunnerError> {
    let began = Instant::now();
    loop {
        let live = list_jobs_and_update_records(folder).await?;
        let tasks: Vec<TaskId> = live
            .trials
            .iter()
            .filter(|(trial, _)| trials.contains(trial.as_str()))
            .map(|(_, live)| live.task)
            .collect();
        if tasks.is_empty() {
            return Ok(());
        }
        if began.elapsed() > CANCEL_TIMEOUT {
            return Err(SlurmError::Remaining { left: tasks.len() }.into());
        }
        // Repeated, because `scancel` may miss a task that is just being started.
        commands::cancel_tasks(&tasks).await?;
        sleep(CANCEL_POLL_INTERVAL).await;
    }
}

/// The jobs of a sweep that wait or run.
///
/// # Errors
/// When a record is unreadable or Slurm does not answer: then it is unknown whether there are jobs.
async fn list_jobs(folder: &SweepFolder) -> Result<LiveJobs, SlurmError> {
    live_jobs_of(open_records(folder)?).await
}

/// Lists the jobs of a sweep that wait or run, closes the records of arrays that are over, and
/// completes records that lack the job's number. The caller must hold the folder's lock.
///
/// # Errors
/// When a record is unreadable or cannot be written, or Slurm does not answer.
pub(super) async fn list_jobs_and_update_records(
    folder: &SweepFolder,
) -> Result<LiveJobs, RunnerError> {
    let records = open_records(folder)?;
    let live = live_jobs_of(records.clone()).await?;
    for mut record in records {
        let found = live
            .arrays
            .iter()
            .find(|(_, found)| found.name == record.name);
        let (job, closed) = match found {
            Some((array, _)) => (Some(*array), false),
            None => (record.job, true),
        };
        if (record.job, record.closed) != (job, closed) {
            (record.job, record.closed) = (job, closed);
            record.write(folder)?;
        }
    }
    Ok(live)
}

async fn live_jobs_of(records: Vec<ArrayRecord>) -> Result<LiveJobs, SlurmError> {
    let numbered: Vec<ArrayId> = records.iter().filter_map(|record| record.job).collect();
    let mut statuses = match numbered.as_slice() {
        [] => Vec::new(),
        numbered => commands::queue(numbered).await?,
    };
    let mut live = LiveJobs::default();
    for mut record in records {
        let job = match record.job {
            Some(job) => Some(job),
            // The runner died before it could record the job's number; `sbatch` may have run.
            None => {
                let found = commands::queue_by_name(&record.name).await?;
                let job = found.iter().map(|status| status.task.array).max();
                statuses.extend(found);
                job
            }
        };
        let Some(job) = job else { continue };
        record.job = Some(job);
        live.add(job, record, &statuses);
    }
    Ok(live)
}

impl LiveJobs {
    /// Adds the tasks of an array that have not ended. Slurm may list the same task twice.
    fn add(&mut self, job: ArrayId, record: ArrayRecord, statuses: &[TaskStatus]) {
        let mut is_live = false;
        for status in statuses
            .iter()
            .filter(|status| status.task.array == job && !status.state.is_ended())
        {
            is_live = true;
            if let Some(own) = record.tasks.get(status.task.index as usize) {
                let live_task = LiveTask {
                    task: status.task,
                    attempt: own.attempt,
                    state: status.state.clone(),
                    reason: status.reason.clone(),
                };
                self.trials.insert(own.trial.clone(), live_task);
            }
        }
        if is_live {
            self.arrays.insert(job, record);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::parse;
    use super::super::record::{TaskRecord, records};
    use super::*;
    use crate::sweep::Policy;

    #[test]
    fn tasks_that_have_not_ended_are_live_and_unknown_states_count_as_live() {
        let tasks = ["a", "b", "c", "d"].map(|trial| TaskRecord {
            trial: trial.to_owned(),
            attempt: 1,
        });
        let record = ArrayRecord::new(
            "n.1".to_owned(),
            "program-k".to_owned(),
            PathBuf::new(),
            &Policy::default(),
            tasks.to_vec(),
        );
        let output = "7_0|COMPLETED|None\n7_1|PENDING|Priority\n7_2|GLOWING|None\n8_3|RUNNING|None\n7_9|RUNNING|None\n";
        let mut live = LiveJobs::default();
        live.add(7, record, &parse::queue(output));
        let mut trials: Vec<_> = live.trials.keys().map(String::as_str).collect();
        trials.sort_unstable();
        assert_eq!(trials, ["b", "c"]);
        assert!(live.arrays.contains_key(&7));
    }

    #[tokio::test]
    async fn slurm_is_not_asked_about_jobs_that_have_results() {
        let root = tempfile::tempdir().unwrap();
        let folder = SweepFolder::unlocked(root.path());
        assert!(matches!(query_live_jobs(&folder).await, Ok(None)));
        std::fs::create_dir_all(records(&folder)).unwrap();
        std::fs::create_dir_all(folder.attempt("a", 1)).unwrap();
        let task = TaskRecord {
            trial: "a".to_owned(),
            attempt: 1,
        };
        let record = ArrayRecord::new(
            "n.1".to_owned(),
            "program-k".to_owned(),
            PathBuf::new(),
            &Policy::default(),
            vec![task],
        );
        record.write(&folder).unwrap();
        let result = r#"{"version":1,"trial":"a","attempt":1,"status":"succeeded","cause":null,"ended":"","seconds":1.0,"peak_memory":0,"frames":[]}"#;
        std::fs::write(folder.attempt("a", 1).join("result.json"), result).unwrap();
        assert!(matches!(query_live_jobs(&folder).await, Ok(None)));
    }
}
