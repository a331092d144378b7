//! Cancelling single trials: by the runner that is at work on the sweep, or else by ourselves.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::json::{VERSION, print_json};
use super::order::runtime;
use super::selection::Selection;
use super::{CancelArguments, status};
use crate::assignment::{Assignment, described};
use crate::error::RunnerError;
use crate::executor::record_cancelled;
use crate::executor::slurm::{cancel_trials as cancel_in_slurm, may_have_jobs};
use crate::exit_code::ExitCode;
use crate::store::{RunnerRecord, Standing, SweepFolder};
use crate::sweep::Trial;
use crate::terminal::outln;

/// A runner hears of it at once, gives the trial 5 s to stop, and kills it; one that uses Slurm
/// may look there only after half a minute, and Slurm takes its own time to end a job.
const PATIENCE: Duration = Duration::from_secs(180);

/// What `cancel --json` prints where trials were chosen.
#[derive(Debug, Serialize)]
struct CancelTrialsDocument<'a> {
    version: u32,
    command: &'static str,
    sweep: String,
    /// The runner at work, which goes on.
    runner: Option<RunnerRecord>,
    trials: Vec<CancelledTrial<'a>>,
}

#[derive(Debug, Serialize)]
struct CancelledTrial<'a> {
    trial: &'a str,
    /// `cancelled`, or what it had become before.
    status: &'static str,
    parameters: &'a Assignment,
}

/// Cancels the chosen trials of a sweep. Those that are over stay what they are.
pub(super) fn cancel_trials(arguments: &CancelArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::view(&arguments.folder)?;
    let trials = status::submitted_trials(&folder)?;
    let selection = Selection::new(&folder, &trials, &arguments.trials, &arguments.parameters)?;
    let chosen: Vec<&Trial> = trials.iter().filter(|trial| selection.has(trial)).collect();
    let runner = folder.runner();
    cancel(&folder, &chosen)?;
    let document = CancelTrialsDocument {
        version: VERSION,
        command: "cancel",
        sweep: folder.name(),
        runner,
        trials: chosen
            .iter()
            .map(|trial| CancelledTrial {
                trial: &trial.id,
                status: match folder.state(&trial.id).standing {
                    Standing::Succeeded(_) => "succeeded",
                    Standing::Failed(_) => "failed",
                    Standing::Cancelled(_) => "cancelled",
                    Standing::New | Standing::Unfinished => "unfinished",
                },
                parameters: &trial.given,
            })
            .collect(),
    };
    if arguments.json {
        return print_json(&document);
    }
    for trial in &document.trials {
        let what = match trial.status {
            "succeeded" | "failed" => format!("was over already: {}", trial.status),
            "unfinished" => {
                "is none of those that the runner at work runs: cancel it when that is done"
                    .to_owned()
            }
            status => status.to_owned(),
        };
        outln!(
            "trial {}  {what} ({})",
            trial.trial,
            described(trial.parameters)
        );
    }
    Ok(ExitCode::Success)
}

fn cancel(folder: &SweepFolder, chosen: &[&Trial]) -> Result<(), RunnerError> {
    let asked = Instant::now();
    let mut requested = false;
    loop {
        if folder.runner().is_none() {
            match SweepFolder::open(folder.path(), 0) {
                Ok(held) => return cancel_here(&held, chosen),
                // A runner that began at this moment, or one that is just ending.
                Err(RunnerError::Busy { .. }) if asked.elapsed() < PATIENCE => {}
                Err(error) => return Err(error),
            }
        } else if !requested {
            requested = true;
            for trial in chosen {
                folder.request_cancel(&trial.id)?;
            }
        }
        let open = folder.cancel_requests();
        let left = chosen
            .iter()
            .filter(|trial| open.contains(&trial.id))
            .count();
        if requested && left == 0 {
            return Ok(());
        }
        if asked.elapsed() > PATIENCE {
            return Err(RunnerError::NotCancelled {
                folder: folder.path().to_owned(),
                left,
                seconds: PATIENCE.as_secs(),
            });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// No runner is at work, and none begins as long as we hold the folder; jobs may be in Slurm.
fn cancel_here(folder: &SweepFolder, chosen: &[&Trial]) -> Result<(), RunnerError> {
    let is_over = |trial: &&&Trial| {
        matches!(
            folder.state(&trial.id).standing,
            Standing::Succeeded(_) | Standing::Failed(_) | Standing::Cancelled(_)
        )
    };
    let left: Vec<&Trial> = chosen
        .iter()
        .filter(|trial| !is_over(trial))
        .copied()
        .collect();
    if may_have_jobs(folder)? {
        let names = left.iter().map(|trial| trial.id.as_str()).collect();
        runtime()?.block_on(cancel_in_slurm(folder, &names))?;
    }
    for trial in left {
        record_cancelled(folder, trial)?;
    }
    for trial in chosen {
        folder.settle_cancel_request(&trial.id);
    }
    Ok(())
}
