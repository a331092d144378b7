//! What `offmodel sweep` and `retry` print after a run.

use std::path::PathBuf;

use serde::Serialize;

use super::output::{Format, Output, VERSION, print};
use crate::assignment::{Assignment, describe};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::store::{FailureReason, StatusCounts, TrialStatus};
use crate::sweep::SweepOutcome;
use crate::terminal::{errln, outln};

/// Failures that are printed; `offmodel status` lists all.
const MAX_PRINTED_FAILURES: usize = 10;

#[derive(Debug, Serialize)]
struct SweepResult<'a> {
    version: u32,
    command: &'static str,
    sweep: String,
    /// Always false: distinguishes this document from that of `--dry-run`.
    dry_run: bool,
    total: usize,
    succeeded: usize,
    failed: usize,
    cancelled: usize,
    left: usize,
    /// Whether the user stopped the sweep.
    stopped: bool,
    /// Whether `max_failures` was reached.
    gave_up: bool,
    files: &'a [PathBuf],
    failures: Vec<Failure<'a>>,
    /// Trials of this run that were stopped or never began.
    #[serde(skip)]
    interrupted: usize,
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Debug, Serialize)]
struct Failure<'a> {
    trial: &'a str,
    attempt: usize,
    notebook: PathBuf,
    parameters: &'a Assignment,
    cause: Option<FailureReason>,
    text: String,
}

/// Prints what a run came to, and returns the exit code for it.
pub(super) fn print_result(
    command: &'static str,
    outcome: &SweepOutcome,
    format: Format,
) -> Result<ExitCode, RunnerError> {
    let result = SweepResult::new(command, outcome);
    print(&result, format)?;
    result.print_remarks();
    Ok(if result.stopped {
        ExitCode::Interrupted
    } else if result.failed > 0 {
        ExitCode::CellFailed
    } else {
        ExitCode::Success
    })
}

impl<'a> SweepResult<'a> {
    fn new(command: &'static str, outcome: &'a SweepOutcome) -> Self {
        let SweepOutcome {
            folder,
            trials,
            summary,
            files,
        } = outcome;
        let mut statuses = Vec::new();
        let mut failures = Vec::new();
        for trial in &trials.list {
            let latest = folder.summary(&trial.id);
            statuses.push(latest.status);
            let Some(result) = latest.result else {
                continue;
            };
            if latest.status == TrialStatus::Failed {
                failures.push(Failure {
                    trial: &trial.id,
                    attempt: result.attempt,
                    notebook: folder.attempt(&trial.id, result.attempt).join("out.ipynb"),
                    parameters: &trial.overrides,
                    text: result
                        .cause
                        .as_ref()
                        .map_or_else(String::new, ToString::to_string),
                    cause: result.cause,
                });
            }
        }
        let counts: StatusCounts = statuses.into_iter().collect();
        Self {
            version: VERSION,
            command,
            sweep: folder.name(),
            dry_run: false,
            total: counts.total,
            succeeded: counts.succeeded,
            failed: counts.failed,
            cancelled: counts.cancelled,
            left: counts.left(),
            stopped: summary.stopped,
            gave_up: summary.gave_up,
            files,
            failures,
            interrupted: summary.interrupted,
            folder: folder.path().to_owned(),
        }
    }

    /// Prints the counts and the failures to standard error, with `--json` too.
    fn print_remarks(&self) {
        errln!("{} of {} trials succeeded", self.succeeded, self.total);
        if self.cancelled > 0 {
            errln!(
                "{} trials are cancelled; name them in `offmodel retry` to run them",
                self.cancelled
            );
        }
        if self.gave_up {
            errln!("max_failures reached: {} trials are left", self.interrupted);
        }
        if self.stopped {
            errln!(
                "{} trials are left; run the same command to continue",
                self.interrupted
            );
            return;
        }
        for failure in self.failures.iter().take(MAX_PRINTED_FAILURES) {
            errln!(
                "error: {}, {} ({})",
                failure.notebook.display(),
                failure.text,
                describe(failure.parameters)
            );
        }
        if self.failed > MAX_PRINTED_FAILURES {
            errln!(
                "and {} more failed trials: offmodel status {}",
                self.failed - MAX_PRINTED_FAILURES,
                self.folder.display()
            );
        }
    }
}

impl Output for SweepResult<'_> {
    fn print_text(&self) {
        for path in self.files {
            outln!("{}", path.display());
        }
    }
}
