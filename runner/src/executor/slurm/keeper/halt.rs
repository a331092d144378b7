//! Making an end: cancelling jobs, or letting go of them.

use std::collections::HashSet;
use std::time::Instant;

use super::super::answers::ArrayId;
use super::super::commands;
use super::super::submission::WhenStopped;
use super::Keeper;
use crate::executor::{Halt, Outcome, Step, Work};

impl Keeper {
    pub(super) async fn halt(&mut self, halt: Halt) {
        let mut not_begun: Vec<(usize, Work)> = self.waiting.drain(..).collect();
        if let Some((record, batch)) = self.in_doubt.take() {
            // Whether Slurm took it is found out by the next runner, by its name.
            drop(record);
            not_begun.extend(batch);
        }
        for (index, _) in not_begun {
            self.tell(index, Step::Done(Ok(Outcome::Interrupted)));
        }
        let arrays: HashSet<ArrayId> = self.in_flight.keys().map(|task| task.array).collect();
        let arrays: Vec<ArrayId> = arrays.into_iter().collect();
        let cancels = self.sweep.when_stopped == WhenStopped::Cancel;
        let asked = match halt {
            Halt::Withdrawn => commands::cancel(&arrays, true).await,
            Halt::Asked if cancels => commands::cancel(&arrays, false).await,
            Halt::Asked | Halt::Forced => {
                self.let_go();
                Ok(())
            }
        };
        if let Err(error) = asked {
            self.say(format!("jobs could not be cancelled: {error}"));
        }
        self.rhythm.hurry(Instant::now());
    }

    /// Jobs go on without us.
    fn let_go(&mut self) {
        let count = self.in_flight.len();
        if count > 0 {
            let folder = self.sweep.folder.path().display().to_string();
            self.say(format!(
                "{count} trials stay in Slurm: the same command watches them again, `offmodel cancel {folder}` ends them"
            ));
        }
        for flight in std::mem::take(&mut self.in_flight).into_values() {
            self.tell(flight.index, Step::Done(Ok(Outcome::Interrupted)));
        }
    }
}
