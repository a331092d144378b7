use std::time::{Duration, Instant};

use serde::Serialize;

use super::cancel_trials::cancel_trials;
use super::json::{VERSION, print_json};
use super::order::runtime;
use super::{CancelArguments, status};
use crate::error::RunnerError;
use crate::executor::slurm::{cancel_jobs, may_have_jobs};
use crate::exit_code::ExitCode;
use crate::store::{RunnerRecord, Standing, SweepFolder};
use crate::terminal::outln;

/// The runner gives its trials 5 s to stop, kills them, and gathers the results.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `cancel --json` prints.
#[derive(Debug, Serialize)]
struct CancelDocument {
    version: u32,
    command: &'static str,
    sweep: String,
    /// The runner that was stopped; `None` if none was at work.
    runner: Option<RunnerRecord>,
    /// Trials that were in Slurm.
    jobs: usize,
    succeeded: usize,
    failed: usize,
    cancelled: usize,
    left: usize,
}

/// Stops the runner that is at work on a sweep, as Ctrl-C in its terminal would, and ends the jobs
/// that it left in Slurm.
pub(super) fn cancel(arguments: &CancelArguments) -> Result<ExitCode, RunnerError> {
    if !(arguments.trials.is_empty() && arguments.parameters.is_empty()) {
        return cancel_trials(arguments);
    }
    let folder = SweepFolder::view(&arguments.folder)?;
    let runner = folder.runner();
    let in_slurm = may_have_jobs(&folder)?;
    if let Some(runner) = &runner
        // A runner out of reach sees that its jobs are cancelled.
        && (!in_slurm || runner.is_here())
    {
        stop(&folder, runner, arguments.now)?;
    }
    let jobs = if in_slurm {
        runtime()?.block_on(cancel_jobs(&folder))?
    } else {
        0
    };
    let document = document(&folder, runner, jobs)?;
    if arguments.json {
        return print_json(&document);
    }
    match &document.runner {
        Some(runner) => outln!("stopped the runner ({runner})"),
        None => outln!("no runner is at work on {}", folder.path().display()),
    }
    if document.jobs > 0 {
        outln!("{} trials cancelled in Slurm", document.jobs);
    }
    outln!(
        "{} trials succeeded, {} failed, {} left; `offmodel sweep` goes on from there",
        document.succeeded,
        document.failed,
        document.left
    );
    Ok(ExitCode::Success)
}

fn stop(folder: &SweepFolder, runner: &RunnerRecord, now: bool) -> Result<(), RunnerError> {
    if !runner.is_here() {
        return Err(RunnerError::Elsewhere {
            folder: folder.path().to_owned(),
            holder: Box::new(runner.clone()),
        });
    }
    let began = Instant::now();
    // The second signal says not to wait for trials.
    let signals = if now { 2 } else { 1 };
    for signal in 0..signals {
        if signal > 0 {
            // Two signals at once would be one.
            std::thread::sleep(Duration::from_millis(100));
        }
        if runner.is_alive() {
            // SAFETY: a plain system call on the process that was just seen to be the runner.
            unsafe { libc::kill(runner.process, libc::SIGTERM) };
        }
    }
    while runner.is_alive() {
        if began.elapsed() > PATIENCE {
            return Err(RunnerError::NotStopped {
                folder: folder.path().to_owned(),
                holder: Box::new(runner.clone()),
                seconds: PATIENCE.as_secs(),
            });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn document(
    folder: &SweepFolder,
    runner: Option<RunnerRecord>,
    jobs: usize,
) -> Result<CancelDocument, RunnerError> {
    let trials = status::submitted_trials(folder)?;
    let (mut succeeded, mut failed, mut cancelled) = (0, 0, 0);
    for trial in &trials {
        match folder.state(&trial.id).standing {
            Standing::Succeeded(_) => succeeded += 1,
            Standing::Failed(_) => failed += 1,
            Standing::Cancelled(_) => cancelled += 1,
            Standing::New | Standing::Unfinished => {}
        }
    }
    Ok(CancelDocument {
        version: VERSION,
        command: "cancel",
        sweep: folder.name(),
        runner,
        jobs,
        succeeded,
        failed,
        cancelled,
        left: trials.len() - succeeded - failed - cancelled,
    })
}
