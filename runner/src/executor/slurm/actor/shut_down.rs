use std::time::Instant;

use tracing::debug;

use super::super::commands;
use super::super::parse::ArrayId;
use super::super::submission::WhenStopped;
use super::SlurmActor;
use crate::executor::{AttemptOutcome, Shutdown};

impl SlurmActor {
    /// Cancels jobs, or leaves them to the next runner of the sweep.
    pub(super) async fn shut_down(&mut self, shutdown: Shutdown) {
        debug!(?shutdown, in_flight = self.in_flight.len(), "shutting down");
        // The next runner finds an unconfirmed array by its name, if Slurm accepted it.
        let unconfirmed = self.unconfirmed.take().map(|batch| batch.attempts);
        let not_submitted: Vec<usize> = self
            .waiting
            .drain(..)
            .chain(unconfirmed.into_iter().flatten())
            .map(|attempt| attempt.index)
            .collect();
        for index in not_submitted {
            self.send_finished(index, Ok(AttemptOutcome::Interrupted));
        }
        let arrays: Vec<ArrayId> = self.arrays_in_flight().into_iter().collect();
        let result = match (shutdown, self.sweep.when_stopped) {
            (Shutdown::Withdraw, _) => commands::cancel_pending(&arrays).await,
            (Shutdown::Graceful, WhenStopped::Cancel) => commands::cancel(&arrays).await,
            (Shutdown::Graceful, WhenStopped::Leave) | (Shutdown::Forced, _) => {
                self.leave_jobs();
                Ok(())
            }
        };
        if let Err(error) = result {
            self.send_notice(format!("jobs could not be cancelled: {error}"));
        }
        self.poll_interval.reset(Instant::now());
    }

    /// Stops following the jobs in flight, which go on in Slurm.
    fn leave_jobs(&mut self) {
        let count = self.in_flight.len();
        if count > 0 {
            let folder = self.sweep.folder.path().display().to_string();
            self.send_notice(format!(
                "{count} trials stay in Slurm: the same command watches them again, `offmodel cancel {folder}` ends them"
            ));
        }
        for flight in std::mem::take(&mut self.in_flight).into_values() {
            self.send_finished(flight.attempt.index, Ok(AttemptOutcome::Interrupted));
        }
    }
}
