use std::time::{Duration, Instant};

use tracing::debug;

use super::super::commands::{self, SlurmError};
use super::super::parse::{ArrayId, TaskId};
use super::super::submission::{prepare, submit_array, undo_submit};
use super::{Attempt, Batch, InFlight, SlurmActor};
use crate::error::RunnerError;
use crate::executor::AttemptOutcome;

/// How long no array is submitted after one that failed: enough for a busy controller to work off
/// its queue.
const SUBMIT_PAUSE: Duration = Duration::from_secs(10);

impl SlurmActor {
    /// Submits waiting attempts, as many as there is room for.
    pub(super) async fn submit_waiting(&mut self) {
        while self.shutdown.is_none()
            && self.unconfirmed.is_none()
            && self.submit_after <= Instant::now()
            && !self.waiting.is_empty()
        {
            let mut count = self.waiting.len().min(self.max_array_size);
            if let Some(max_queued) = self.sweep.policy.slurm.max_queued {
                count = count.min(max_queued.saturating_sub(self.in_flight.len()));
            }
            if count == 0 {
                return;
            }
            let attempts: Vec<Attempt> = self.waiting.drain(..count).collect();
            let specs = attempts
                .iter()
                .map(|attempt| attempt.spec.clone())
                .collect();
            match prepare(&self.sweep, specs).await {
                Ok(record) => self.submit(Batch { record, attempts }).await,
                Err(error) => self.fail(attempts, error),
            }
        }
    }

    async fn submit(&mut self, batch: Batch) {
        let others: Vec<ArrayId> = self.arrays_in_flight().into_iter().collect();
        match submit_array(&self.sweep, &batch.record, &others).await {
            Ok(job) => self.follow(batch, job),
            Err(error @ SlurmError::Full { .. }) => {
                // A smaller array may still fit.
                self.max_array_size = (batch.attempts.len() / 2).max(1);
                self.put_back_unless_accepted(batch).await;
                self.pause_submissions(&error);
            }
            Err(error) if error.is_transient() => {
                self.unconfirmed = Some(batch);
                self.pause_submissions(&error);
            }
            Err(error) => {
                undo_submit(&self.sweep, &batch.record);
                self.fail(batch.attempts, error.into());
            }
        }
    }

    /// Finds out whether Slurm accepted an array although `sbatch` failed; if not, submits it again.
    pub(super) async fn confirm_submission(&mut self) {
        let Some(batch) = self.unconfirmed.take() else {
            return;
        };
        match find_array(&batch.record.name).await {
            Ok(Some(job)) => self.follow(batch, job),
            Ok(None) => self.submit(batch).await,
            Err(error) => {
                self.unconfirmed = Some(batch);
                self.report_unreachable(&error);
            }
        }
    }

    /// Puts back the attempts of an array for which Slurm had no room. `sbatch` was killed while it
    /// waited for room, and may have found some at the last moment: then the array is followed.
    async fn put_back_unless_accepted(&mut self, batch: Batch) {
        match find_array(&batch.record.name).await {
            Ok(Some(job)) => self.follow(batch, job),
            Ok(None) => {
                undo_submit(&self.sweep, &batch.record);
                for attempt in batch.attempts.into_iter().rev() {
                    self.waiting.push_front(attempt);
                }
            }
            Err(_) => self.unconfirmed = Some(batch),
        }
    }

    /// Follows the tasks of an array that Slurm accepted.
    fn follow(&mut self, batch: Batch, job: ArrayId) {
        let Batch {
            mut record,
            attempts,
        } = batch;
        debug!(job, tasks = attempts.len(), "array submitted");
        record.job = Some(job);
        let written = record.write(&self.sweep.folder);
        let first = attempts.first().map(|attempt| attempt.index);
        for (index, attempt) in (0..).zip(attempts) {
            let task = TaskId { array: job, index };
            self.in_flight.insert(task, InFlight::new(attempt));
        }
        let count = record.tasks.len();
        self.arrays.insert(job, record);
        self.send_notice(format!("handed {count} trials to Slurm as job {job}"));
        self.is_unreachable = false;
        self.poll_interval.reset(Instant::now());
        if let (Err(error), Some(index)) = (written, first) {
            // The next runner finds the array by its name; this one stops, as after every error of
            // its own.
            self.in_flight.remove(&TaskId {
                array: job,
                index: 0,
            });
            self.send_finished(index, Err(error));
        }
    }

    /// Reports an error of the runner, or a refusal, for the first attempt, which ends the sweep.
    fn fail(&self, attempts: Vec<Attempt>, error: RunnerError) {
        let mut error = Some(error);
        for attempt in attempts {
            let outcome = error.take().map_or(Ok(AttemptOutcome::Interrupted), Err);
            self.send_finished(attempt.index, outcome);
        }
    }

    fn pause_submissions(&mut self, error: &SlurmError) {
        self.submit_after = Instant::now() + SUBMIT_PAUSE;
        self.report_unreachable(error);
    }
}

/// The array with a name, if Slurm knows one.
async fn find_array(name: &str) -> Result<Option<ArrayId>, SlurmError> {
    let tasks = commands::queue_by_name(name).await?;
    Ok(tasks.iter().map(|status| status.task.array).max())
}
