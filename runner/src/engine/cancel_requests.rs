use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::store::SweepFolder;

/// How often the sweep's folder is read. Another machine may write to it, and shared file systems
/// do not notify of such changes.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The requests to cancel single trials that `offmodel cancel` writes into a sweep's folder.
#[derive(Debug)]
pub struct CancelRequests {
    folder: Arc<SweepFolder>,
    polls: Interval,
    /// Trials whose requests were returned and not dropped yet.
    pending: HashSet<String>,
}

impl CancelRequests {
    /// Watches a sweep's folder. Must be called inside a tokio runtime.
    pub fn watch(folder: Arc<SweepFolder>) -> Self {
        let mut polls = interval(POLL_INTERVAL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            folder,
            polls,
            pending: HashSet::new(),
        }
    }

    /// Waits for new requests and returns their trials, each once. Cancel-safe.
    pub async fn next(&mut self) -> Vec<String> {
        loop {
            self.polls.tick().await;
            let mut requested = self.folder.cancel_requests();
            requested.retain(|trial| self.pending.insert(trial.clone()));
            if !requested.is_empty() {
                return requested;
            }
        }
    }

    /// Removes the request to cancel a trial, which is over or which this runner does not run.
    pub fn discard(&mut self, trial: &str) {
        if self.pending.remove(trial) {
            self.folder.settle_cancel_request(trial);
        }
    }
}
