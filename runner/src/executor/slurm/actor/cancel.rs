use std::sync::Arc;
use std::time::Instant;

use super::super::commands;
use super::super::parse::TaskId;
use super::super::publish::publish_cancelled;
use super::super::submission::spec_record;
use super::{Attempt, SlurmActor};
use crate::error::RunnerError;
use crate::executor::{AttemptOutcome, blocking};

impl SlurmActor {
    /// Cancels what is still to be cancelled: records attempts that were not submitted as cancelled,
    /// and asks Slurm to end the others, which are recorded once they have ended.
    pub(super) async fn cancel_trials(&mut self) {
        if self.cancelled.is_empty() {
            return;
        }
        let (cancelled, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|attempt| self.cancelled.contains(&attempt.spec.trial.id));
        self.waiting = waiting;
        for attempt in cancelled {
            let index = attempt.index;
            let outcome = self.record_cancelled(attempt).await;
            self.send_finished(index, outcome);
        }
        let tasks: Vec<TaskId> = self
            .in_flight
            .iter()
            .filter(|(_, flight)| {
                let trial = &flight.attempt.spec.trial.id;
                !flight.is_cancelled && self.cancelled.contains(trial)
            })
            .map(|(task, _)| *task)
            .collect();
        if tasks.is_empty() {
            return;
        }
        match commands::cancel_tasks(&tasks).await {
            Ok(()) => {
                for task in tasks {
                    if let Some(flight) = self.in_flight.get_mut(&task) {
                        flight.is_cancelled = true;
                    }
                }
                self.poll_interval.reset(Instant::now());
            }
            // The tasks are not marked, so the next round tries again.
            Err(error) => self.report_unreachable(&error),
        }
    }

    async fn record_cancelled(&self, attempt: Attempt) -> Result<AttemptOutcome, RunnerError> {
        let sweep = Arc::clone(&self.sweep);
        let result = blocking("record a cancelled trial", move || {
            let spec = &attempt.spec;
            sweep.folder.create_attempt(&spec_record(&sweep, spec))?;
            publish_cancelled(&sweep.folder, spec)
        })
        .await?;
        Ok(AttemptOutcome::Published(Box::new(result)))
    }
}
