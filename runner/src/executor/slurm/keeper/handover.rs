//! Handing arrays over, and finding out whether that worked.

use std::time::{Duration, Instant};

use super::super::answers::{ArrayId, TaskId};
use super::super::commands::{self, SlurmError};
use super::super::record::ArrayRecord;
use super::super::submission::{hand_over, prepare, take_back};
use super::{InFlight, Keeper};
use crate::error::RunnerError;
use crate::executor::{Outcome, Step, Work};

impl Keeper {
    /// Hands over what there is room for.
    pub(super) async fn submit(&mut self) {
        while self.halted.is_none()
            && self.in_doubt.is_none()
            && self.may_submit <= Instant::now()
            && !self.waiting.is_empty()
        {
            let most = self.sweep.policy.slurm.max_queued.unwrap_or(usize::MAX);
            let room = most.saturating_sub(self.in_flight.len());
            let count = room.min(self.largest).min(self.waiting.len());
            if count == 0 {
                return;
            }
            let batch: Vec<(usize, Work)> = self.waiting.drain(..count).collect();
            let work = batch.iter().map(|(_, work)| work.clone()).collect();
            match prepare(&self.sweep, work).await {
                Ok(record) => self.hand_over(record, batch).await,
                Err(error) => self.fail(batch, error),
            }
        }
    }

    async fn hand_over(&mut self, record: ArrayRecord, batch: Vec<(usize, Work)>) {
        let others: Vec<ArrayId> = self
            .in_flight
            .keys()
            .map(|task| task.array)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        match hand_over(&self.sweep, &record, &others).await {
            Ok(job) => self.adopt(record, job, batch),
            Err(error @ SlurmError::Full { .. }) => {
                // A smaller array may still fit.
                self.largest = (batch.len() / 2).max(1);
                self.not_taken(record, batch).await;
                self.pause_submissions(&error);
            }
            Err(error) if error.is_passing() => {
                self.in_doubt = Some((record, batch));
                self.pause_submissions(&error);
            }
            Err(error) => {
                take_back(&self.sweep, &record);
                self.fail(batch, error.into());
            }
        }
    }

    /// For an array that Slurm had no room for: `sbatch` was stopped while it waited for some, and
    /// may have found it at the last moment.
    async fn not_taken(&mut self, record: ArrayRecord, batch: Vec<(usize, Work)>) {
        match commands::queue_by_name(&record.name).await {
            Ok(found) => match found.iter().map(|answer| answer.task.array).max() {
                Some(job) => self.adopt(record, job, batch),
                None => {
                    take_back(&self.sweep, &record);
                    self.put_back(batch);
                }
            },
            Err(_) => self.in_doubt = Some((record, batch)),
        }
    }

    fn adopt(&mut self, mut record: ArrayRecord, job: ArrayId, batch: Vec<(usize, Work)>) {
        record.job = Some(job);
        let written = record.write(&self.sweep.folder);
        for (element, (index, work)) in batch.into_iter().enumerate() {
            // An array has fewer tasks than 32 bits count.
            let element = u32::try_from(element).unwrap_or(u32::MAX);
            let task = TaskId {
                array: job,
                index: element,
            };
            self.in_flight.insert(task, InFlight::new(index, work));
        }
        let tasks = record.tasks.len();
        self.arrays.insert(job, record);
        self.say(format!("handed {tasks} trials to Slurm as job {job}"));
        self.trouble = false;
        self.rhythm.hurry(Instant::now());
        if let Err(error) = written {
            // It is found by its name by the next runner; this one cannot go on.
            let first = self.in_flight.iter().find(|(task, _)| task.array == job);
            if let Some(task) = first.map(|(task, _)| *task)
                && let Some(flight) = self.in_flight.remove(&task)
            {
                self.tell(flight.index, Step::Done(Err(error)));
            }
        }
    }

    /// Finds out whether Slurm took an array although `sbatch` failed; if not, once more.
    pub(super) async fn resolve_doubt(&mut self) {
        let Some((record, batch)) = self.in_doubt.take() else {
            return;
        };
        match commands::queue_by_name(&record.name).await {
            Err(error) => {
                self.in_doubt = Some((record, batch));
                self.troubled(&error);
            }
            Ok(found) => match found.iter().map(|answer| answer.task.array).max() {
                Some(job) => self.adopt(record, job, batch),
                None => self.hand_over(record, batch).await,
            },
        }
    }

    /// An error of our own or a refusal: the first attempt reports it, which ends the sweep.
    fn fail(&self, batch: Vec<(usize, Work)>, error: RunnerError) {
        let mut error = Some(error);
        for (index, _) in batch {
            let outcome = error.take().map_or(Ok(Outcome::Interrupted), Err);
            self.tell(index, Step::Done(outcome));
        }
    }

    fn put_back(&mut self, batch: Vec<(usize, Work)>) {
        for entry in batch.into_iter().rev() {
            self.waiting.push_front(entry);
        }
    }

    fn pause_submissions(&mut self, error: &SlurmError) {
        /// Longer than it takes a busy controller to catch its breath.
        const PAUSE: Duration = Duration::from_secs(10);
        self.may_submit = Instant::now() + PAUSE;
        self.troubled(error);
    }
}
