//! What a sweep came to.

use std::path::PathBuf;

use serde::Serialize;

use super::json::VERSION;
use crate::assignment::{Assignment, described};
use crate::engine::Summary;
use crate::store::{FailureReason, Standing, SweepFolder};
use crate::sweep::Trial;
use crate::terminal::errln;

/// After this many failures the pattern is clear, and `offmodel status` lists the rest.
const SHOWN: usize = 10;

/// What a sweep came to, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct OutcomeDocument<'a> {
    version: u32,
    command: &'static str,
    sweep: String,
    dry_run: bool,
    total: usize,
    succeeded: usize,
    pub failed: usize,
    cancelled: usize,
    left: usize,
    /// Whether someone asked to stop.
    stopped: bool,
    /// Whether `max_failures` was reached.
    gave_up: bool,
    files: &'a [PathBuf],
    failures: Vec<FailureDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct FailureDocument<'a> {
    trial: &'a str,
    attempt: usize,
    notebook: PathBuf,
    parameters: &'a Assignment,
    cause: Option<FailureReason>,
    text: String,
}

impl<'a> OutcomeDocument<'a> {
    pub fn new(
        command: &'static str,
        folder: &SweepFolder,
        trials: &'a [Trial],
        summary: &Summary,
        files: &'a [PathBuf],
    ) -> Self {
        let (mut succeeded, mut cancelled) = (0, 0);
        let mut failures = Vec::new();
        for trial in trials {
            match folder.state(&trial.id).standing {
                Standing::Succeeded(_) => succeeded += 1,
                Standing::Failed(result) => failures.push(FailureDocument {
                    trial: &trial.id,
                    attempt: result.attempt,
                    notebook: folder.attempt(&trial.id, result.attempt).join("out.ipynb"),
                    parameters: &trial.given,
                    text: result
                        .cause
                        .as_ref()
                        .map_or_else(String::new, ToString::to_string),
                    cause: result.cause,
                }),
                Standing::Cancelled(_) => cancelled += 1,
                Standing::New | Standing::Unfinished => {}
            }
        }
        Self {
            version: VERSION,
            command,
            sweep: folder.name(),
            dry_run: false,
            total: trials.len(),
            succeeded,
            failed: failures.len(),
            cancelled,
            left: trials.len() - succeeded - failures.len() - cancelled,
            stopped: summary.stopped,
            gave_up: summary.gave_up,
            files,
            failures,
        }
    }

    pub fn note(&self, folder: &SweepFolder, summary: &Summary) {
        errln!("{} of {} trials succeeded", self.succeeded, self.total);
        if self.cancelled > 0 {
            errln!(
                "{} trials are cancelled; `offmodel retry` runs those that it is given by name",
                self.cancelled
            );
        }
        if self.gave_up {
            errln!(
                "max_failures reached: {} trials are left",
                summary.interrupted
            );
        }
        if self.stopped {
            errln!(
                "{} trials are left; run the same command to go on",
                summary.interrupted
            );
            return;
        }
        for failure in self.failures.iter().take(SHOWN) {
            errln!(
                "error: {}, {} ({})",
                failure.notebook.display(),
                failure.text,
                described(failure.parameters)
            );
        }
        if self.failed > SHOWN {
            errln!(
                "and {} more failed trials: offmodel status {}",
                self.failed - SHOWN,
                folder.path().display()
            );
        }
    }
}
