//! Cancelling single trials: those that were not handed over are recorded here, for the others
//! Slurm is asked, and what it says about them is recorded as they end.

use std::sync::Arc;
use std::time::Instant;

use super::super::answers::TaskId;
use super::super::commands;
use super::super::publication::publish_cancelled;
use super::super::submission::spec_of;
use super::Keeper;
use crate::executor::attempt::blocking;
use crate::executor::{Outcome, Step};

impl Keeper {
    /// Does what is still to be done for trials that are to be cancelled.
    pub(super) async fn cancel_trials(&mut self) {
        if self.cancelled.is_empty() {
            return;
        }
        let (cancelled, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, work)| self.cancelled.contains(&work.trial.id));
        self.waiting = waiting;
        for (index, work) in cancelled {
            let sweep = Arc::clone(&self.sweep);
            let published = blocking(move || {
                sweep.folder.create_attempt(&spec_of(&sweep, &work))?;
                publish_cancelled(&sweep.folder, &work)
            });
            let outcome = published
                .await
                .map(|result| Outcome::Published(Box::new(result)));
            self.tell(index, Step::Done(outcome));
        }
        let tasks: Vec<TaskId> = self
            .in_flight
            .iter()
            .filter(|(_, flight)| {
                !flight.cancelled && self.cancelled.contains(&flight.work.trial.id)
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
                        flight.cancelled = true;
                    }
                }
                self.rhythm.hurry(Instant::now());
            }
            // Asked again after the next look.
            Err(error) => self.troubled(&error),
        }
    }
}
