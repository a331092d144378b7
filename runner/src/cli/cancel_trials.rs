//! `offmodel cancel` of single trials: by the runner at work, otherwise by this process.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::CancelArguments;
use super::output::{Format, Output, VERSION, print};
use crate::assignment::{Assignment, describe};
use crate::error::RunnerError;
use crate::executor::record_cancelled;
use crate::executor::slurm::{cancel_trials as cancel_slurm_jobs, may_have_jobs};
use crate::exit_code::ExitCode;
use crate::runtime;
use crate::store::{RunnerRecord, SweepFolder, TrialStatus};
use crate::sweep::{Selection, Trial, submitted_trials};
use crate::terminal::outln;

/// How long the runner may take. A local one sees the request at once and gives the trial 5 s; one
/// that uses Slurm may poll it only every half minute, and Slurm takes its time to end a job.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(180);

/// How often the open requests are read.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug, Serialize)]
struct CancelledTrials<'a> {
    version: u32,
    command: &'static str,
    sweep: String,
    /// The runner at work, which continues with other trials.
    runner: Option<RunnerRecord>,
    trials: Vec<CancelledTrial<'a>>,
}

#[derive(Debug, Serialize)]
struct CancelledTrial<'a> {
    trial: &'a str,
    /// `cancelled`, or the status that the trial had reached before.
    status: TrialStatus,
    parameters: &'a Assignment,
}

/// Cancels the selected trials of a sweep. Finished trials keep their status.
pub(super) fn cancel_trials(arguments: &CancelArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::open_read_only(&arguments.folder)?;
    let trials = submitted_trials(&folder)?;
    let selection = Selection::new(&folder, &trials, &arguments.trials, &arguments.parameters)?;
    let selected: Vec<&Trial> = trials
        .iter()
        .filter(|trial| selection.contains(trial))
        .collect();
    let runner = folder.runner();
    cancel(&folder, &selected)?;
    let cancelled = CancelledTrials {
        version: VERSION,
        command: "cancel",
        sweep: folder.name(),
        runner,
        trials: selected
            .iter()
            .map(|trial| CancelledTrial {
                trial: &trial.id,
                status: reported_status(folder.summary(&trial.id).status),
                parameters: &trial.overrides,
            })
            .collect(),
    };
    print(&cancelled, Format::from_flag(arguments.json))?;
    Ok(ExitCode::Success)
}

/// A trial that is not among those that the runner runs has no final status; whether it has
/// attempts from before makes no difference to the user.
fn reported_status(status: TrialStatus) -> TrialStatus {
    if status.is_final() {
        status
    } else {
        TrialStatus::Unfinished
    }
}

/// Cancels trials through the runner at work, or through this process if it gets the lock.
fn cancel(folder: &SweepFolder, selected: &[&Trial]) -> Result<(), RunnerError> {
    let began = Instant::now();
    let mut is_requested = false;
    loop {
        if folder.runner().is_none() {
            match SweepFolder::open_locked(folder.path(), 0) {
                Ok(locked) => return cancel_locked(&locked, selected),
                // A runner started or ends at this moment: look again.
                Err(RunnerError::Busy { .. }) if began.elapsed() < CANCEL_TIMEOUT => {}
                Err(error) => return Err(error),
            }
        } else if !is_requested {
            is_requested = true;
            for trial in selected {
                folder.request_cancel(&trial.id)?;
            }
        }
        let open = folder.cancel_requests();
        let left = selected
            .iter()
            .filter(|trial| open.contains(&trial.id))
            .count();
        if is_requested && left == 0 {
            return Ok(());
        }
        if began.elapsed() > CANCEL_TIMEOUT {
            return Err(RunnerError::NotCancelled {
                folder: folder.path().to_owned(),
                left,
                seconds: CANCEL_TIMEOUT.as_secs(),
            });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Cancels trials while this process holds the lock, so that no runner starts them. Slurm may still
/// have jobs of an earlier runner.
fn cancel_locked(folder: &SweepFolder, selected: &[&Trial]) -> Result<(), RunnerError> {
    let unfinished: Vec<&Trial> = selected
        .iter()
        .filter(|trial| !folder.summary(&trial.id).is_finished())
        .copied()
        .collect();
    if may_have_jobs(folder)? {
        let ids = unfinished.iter().map(|trial| trial.id.as_str()).collect();
        runtime::multi_thread()?.block_on(cancel_slurm_jobs(folder, &ids))?;
    }
    for trial in unfinished {
        record_cancelled(folder, trial)?;
    }
    for trial in selected {
        folder.clear_cancel_request(&trial.id);
    }
    Ok(())
}

impl Output for CancelledTrials<'_> {
    fn print_text(&self) {
        for CancelledTrial {
            trial,
            status,
            parameters,
        } in &self.trials
        {
            let what = match status {
                TrialStatus::Succeeded | TrialStatus::Failed => {
                    format!("had already finished: {status}")
                }
                TrialStatus::Cancelled => status.to_string(),
                _ => "does not belong to the current run: cancel it when the runner has ended"
                    .to_owned(),
            };
            outln!("trial {trial}  {what} ({})", describe(parameters));
        }
    }
}
