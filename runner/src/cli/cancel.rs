//! `offmodel cancel` of a whole sweep.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::CancelArguments;
use super::cancel_trials::cancel_trials;
use super::output::{Format, Output, VERSION, print};
use crate::error::RunnerError;
use crate::executor::slurm::{cancel_jobs, may_have_jobs};
use crate::exit_code::ExitCode;
use crate::runtime;
use crate::store::{RunnerRecord, StatusCounts, SweepFolder};
use crate::sweep::submitted_trials;
use crate::terminal::outln;

/// How long the runner may take to stop: it gives its trials 5 s, kills them, and gathers results.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// How often the runner's process is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug, Serialize)]
struct CancelledSweep {
    version: u32,
    command: &'static str,
    sweep: String,
    /// The runner that was at work.
    runner: Option<RunnerRecord>,
    /// How many trials were cancelled in Slurm.
    jobs: usize,
    succeeded: usize,
    failed: usize,
    cancelled: usize,
    left: usize,
    #[serde(skip)]
    folder: PathBuf,
}

/// Stops the runner of a sweep, as Ctrl-C in its terminal would, and ends its jobs in Slurm.
pub(super) fn cancel(arguments: &CancelArguments) -> Result<ExitCode, RunnerError> {
    if !(arguments.trials.is_empty() && arguments.parameters.is_empty()) {
        return cancel_trials(arguments);
    }
    let folder = SweepFolder::open_read_only(&arguments.folder)?;
    let runner = folder.runner();
    let uses_slurm = may_have_jobs(&folder)?;
    if let Some(runner) = &runner
        // A runner on another machine ends by itself once its jobs are cancelled.
        && (!uses_slurm || runner.is_local())
    {
        stop(&folder, runner, arguments.now)?;
    }
    let jobs = if uses_slurm {
        runtime::multi_thread()?.block_on(cancel_jobs(&folder))?
    } else {
        0
    };
    let counts: StatusCounts = submitted_trials(&folder)?
        .iter()
        .map(|trial| folder.summary(&trial.id).status)
        .collect();
    let cancelled = CancelledSweep {
        version: VERSION,
        command: "cancel",
        sweep: folder.name(),
        runner,
        jobs,
        succeeded: counts.succeeded,
        failed: counts.failed,
        cancelled: counts.cancelled,
        left: counts.left(),
        folder: folder.path().to_owned(),
    };
    print(&cancelled, Format::from_flag(arguments.json))?;
    Ok(ExitCode::Success)
}

fn stop(folder: &SweepFolder, runner: &RunnerRecord, now: bool) -> Result<(), RunnerError> {
    if !runner.is_local() {
        return Err(RunnerError::Elsewhere {
            folder: folder.path().to_owned(),
            holder: Box::new(runner.clone()),
        });
    }
    let began = Instant::now();
    terminate(runner);
    if now {
        // The second signal makes the runner kill its trials at once. Two signals that are pending
        // at the same time count as one.
        std::thread::sleep(Duration::from_millis(100));
        terminate(runner);
    }
    while runner.is_alive() {
        if began.elapsed() > STOP_TIMEOUT {
            return Err(RunnerError::NotStopped {
                folder: folder.path().to_owned(),
                holder: Box::new(runner.clone()),
                seconds: STOP_TIMEOUT.as_secs(),
            });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

fn terminate(runner: &RunnerRecord) {
    if runner.is_alive() {
        // SAFETY: a plain system call on the process that was just seen to be the runner.
        unsafe { libc::kill(runner.pid, libc::SIGTERM) };
    }
}

impl Output for CancelledSweep {
    fn print_text(&self) {
        match &self.runner {
            Some(runner) => outln!("stopped the runner ({runner})"),
            None => outln!("no runner is at work on {}", self.folder.display()),
        }
        if self.jobs > 0 {
            outln!("{} trials cancelled in Slurm", self.jobs);
        }
        outln!(
            "{} trials succeeded, {} failed, {} left; `offmodel sweep` continues from there",
            self.succeeded,
            self.failed,
            self.left
        );
    }
}
