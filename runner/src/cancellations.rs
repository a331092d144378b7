//! Requests to cancel single trials, as they reach the runner.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::store::SweepFolder;

/// How often they are looked for: the folder may be another machine's, which tells no changes.
const EVERY: Duration = Duration::from_millis(250);

/// The requests in a sweep's folder.
#[derive(Debug)]
pub struct Cancellations {
    folder: Arc<SweepFolder>,
    looks: Interval,
    heard: HashSet<String>,
}

impl Cancellations {
    /// Of a sweep. Inside a runtime.
    pub fn of(folder: Arc<SweepFolder>) -> Self {
        let mut looks = interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            folder,
            looks,
            heard: HashSet::new(),
        }
    }

    /// Waits for the next requests; each is given once. Nothing is lost when it is dropped.
    pub async fn next(&mut self) -> Vec<String> {
        loop {
            self.looks.tick().await;
            let mut requested = self.folder.cancel_requests();
            requested.retain(|trial| self.heard.insert(trial.clone()));
            if !requested.is_empty() {
                return requested;
            }
        }
    }

    /// The trial is over, or is none that we run.
    pub fn settle(&mut self, trial: &str) {
        if self.heard.remove(trial) {
            self.folder.settle_cancel_request(trial);
        }
    }
}
