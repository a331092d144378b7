//! The jobs that a sweep has in Slurm, as an earlier runner left them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::answers::{Answer, ArrayId, JobState, TaskId};
use super::commands::{self, SlurmError};
use super::record::{ArrayRecord, open_records};
use crate::error::RunnerError;
use crate::store::SweepFolder;

/// How long cancelled jobs are waited for: longer than Slurm lets them end by themselves
/// (`KillWait`, half a minute by default).
const UNTIL_GONE: Duration = Duration::from_secs(90);

/// Jobs that still wait or run.
#[derive(Debug, Default)]
pub struct LiveJobs {
    /// The records of their arrays.
    pub arrays: BTreeMap<ArrayId, ArrayRecord>,
    /// Their tasks by trial.
    pub trials: HashMap<String, LiveTask>,
}

/// A task that still waits or runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveTask {
    /// Which.
    pub task: TaskId,
    /// The number of its first attempt.
    pub attempt: usize,
    /// Waiting, running, or a word that we do not know.
    pub state: JobState,
    /// Why it is in that state, in Slurm's words; may be empty.
    pub reason: String,
}

/// Asks Slurm which jobs of the sweep still wait or run.
///
/// # Errors
/// When a record is unreadable or Slurm does not answer: then nobody may assume that there are
/// none.
pub async fn live_jobs(folder: &SweepFolder) -> Result<LiveJobs, SlurmError> {
    let records = open_records(folder)?;
    live_among(records).await
}

/// As [`live_jobs`], and closes the records of arrays that are over. Only for whoever holds the
/// folder.
///
/// # Errors
/// As [`live_jobs`], and when a record cannot be written.
pub async fn take_stock(folder: &SweepFolder) -> Result<LiveJobs, RunnerError> {
    let records = open_records(folder)?;
    let live = live_among(records.clone()).await?;
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

pub async fn live_among(records: Vec<ArrayRecord>) -> Result<LiveJobs, SlurmError> {
    let numbered: Vec<ArrayId> = records.iter().filter_map(|record| record.job).collect();
    let mut answers = match numbered.as_slice() {
        [] => Vec::new(),
        numbered => commands::queue(numbered).await?,
    };
    let mut live = LiveJobs::default();
    for mut record in records {
        let job = match record.job {
            Some(job) => Some(job),
            // The runner died between handing it over and learning its number, or before.
            None => {
                let found = commands::queue_by_name(&record.name).await?;
                let job = found.iter().map(|answer| answer.task.array).max();
                answers.extend(found);
                job
            }
        };
        let Some(job) = job else { continue };
        record.job = Some(job);
        add_live_tasks(&mut live, job, record, &answers);
    }
    Ok(live)
}

fn add_live_tasks(live: &mut LiveJobs, job: ArrayId, record: ArrayRecord, answers: &[Answer]) {
    let mut is_live = false;
    // The same task may be told twice.
    for Answer {
        task,
        state,
        reason,
    } in answers
        .iter()
        .filter(|answer| answer.task.array == job && !answer.state.is_ended())
    {
        is_live = true;
        if let Some(own) = record.tasks.get(task.index as usize) {
            let live_task = LiveTask {
                task: *task,
                attempt: own.attempt,
                state: state.clone(),
                reason: reason.clone(),
            };
            live.trials.insert(own.trial.clone(), live_task);
        }
    }
    if is_live {
        live.arrays.insert(job, record);
    }
}

/// Whether a sweep may have jobs in Slurm: without asking there.
///
/// # Errors
/// When a record is unreadable.
pub fn has_jobs(folder: &SweepFolder) -> Result<bool, SlurmError> {
    Ok(!open_records(folder)?.is_empty())
}

/// Makes sure that no job of a sweep is in Slurm before it runs on this machine.
///
/// # Errors
/// When there are some, or nobody can tell.
pub async fn ensure_none(folder: &SweepFolder) -> Result<(), RunnerError> {
    if !has_jobs(folder)? {
        return Ok(());
    }
    let live = take_stock(folder).await?;
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

/// Cancels a sweep's jobs and waits until they are gone; tells how many there were.
///
/// # Errors
/// When Slurm does not answer, or jobs stay.
pub async fn cancel_jobs(folder: &SweepFolder) -> Result<usize, SlurmError> {
    let before = live_jobs(folder).await?;
    let arrays: Vec<ArrayId> = before.arrays.keys().copied().collect();
    commands::cancel(&arrays, false).await?;
    let asked = Instant::now();
    let mut left = before.trials.len();
    while left > 0 {
        if asked.elapsed() > UNTIL_GONE {
            return Err(SlurmError::Remaining { left });
        }
        sleep(Duration::from_millis(500)).await;
        left = live_jobs(folder).await?.trials.len();
    }
    Ok(before.trials.len())
}

/// Cancels the jobs of some trials and waits until they are gone. Only for whoever holds the folder.
///
/// # Errors
/// As [`cancel_jobs`].
pub async fn cancel_trials(
    folder: &SweepFolder,
    trials: &HashSet<&str>,
) -> Result<(), RunnerError> {
    let asked = Instant::now();
    loop {
        let live = take_stock(folder).await?;
        let tasks: Vec<TaskId> = live
            .trials
            .iter()
            .filter(|(trial, _)| trials.contains(trial.as_str()))
            .map(|(_, live)| live.task)
            .collect();
        if tasks.is_empty() {
            return Ok(());
        }
        if asked.elapsed() > UNTIL_GONE {
            return Err(SlurmError::Remaining { left: tasks.len() }.into());
        }
        // Asked again and again: a task that is being started may miss it.
        commands::cancel_tasks(&tasks).await?;
        sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::answers;
    use super::super::record::TaskRecord;
    use super::*;
    use crate::sweep::Policy;

    #[test]
    fn only_tasks_that_have_not_ended_are_live_and_unknown_states_count_as_live() {
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
        add_live_tasks(&mut live, 7, record, &answers::queue(output));
        let mut trials: Vec<_> = live.trials.keys().map(String::as_str).collect();
        trials.sort_unstable();
        assert_eq!(trials, ["b", "c"]);
        assert!(live.arrays.contains_key(&7));
    }
}
