//! `offmodel status`.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::SystemTime;

use chrono::DateTime;
use offmodel_program::Notebook;
use serde::Serialize;

use super::StatusArguments;
use super::output::{Format, Output, VERSION, print};
use crate::assignment::{Assignment, describe};
use crate::error::RunnerError;
use crate::estimate::Estimate;
use crate::executor::slurm::{JobState, LiveJobs, LiveTask, SlurmError, query_live_jobs};
use crate::exit_code::ExitCode;
use crate::runtime;
use crate::store::{
    AttemptResult, RunnerRecord, StatusCounts, Submission, SweepFolder, TrialStatus, TrialSummary,
};
use crate::sweep::program_comparison::ProgramComparison;
use crate::sweep::{Trial, submitted_trials};
use crate::terminal::outln;

/// The status of a sweep.
#[derive(Debug, Serialize)]
struct SweepStatus {
    version: u32,
    command: &'static str,
    sweep: String,
    /// Whether a runner is at work.
    running: bool,
    runner: Option<RunnerRecord>,
    total: usize,
    succeeded: usize,
    failed: usize,
    cancelled: usize,
    /// Trials without a result.
    left: usize,
    /// Results that another program made than the current one.
    changed: usize,
    /// Trials in the folder that the sweep as submitted does not have.
    others: usize,
    /// The sweep's jobs in Slurm; none if it cannot have any.
    slurm: Option<SlurmStatus>,
    estimate: Option<Estimate>,
    trials: Vec<TrialOutput>,
}

/// The jobs of a sweep in Slurm.
#[derive(Debug, Default, Serialize)]
struct SlurmStatus {
    /// Why Slurm could not be asked; none if it answered.
    error: Option<String>,
    waiting: usize,
    running: usize,
    /// Jobs in states that this version of offmodel does not know.
    unknown: usize,
    /// Slurm's reasons why jobs wait, and unknown states, with the number of jobs.
    reasons: BTreeMap<String, usize>,
}

#[derive(Debug, Serialize)]
struct TrialOutput {
    trial: String,
    status: TrialStatus,
    attempts: usize,
    /// The Slurm job of the attempt, as `squeue` names it.
    job: Option<String>,
    parameters: Assignment,
    /// The parts of the program that differ from the current one; none if that is unknown.
    changed: Option<Vec<String>>,
    result: Option<AttemptResult>,
}

/// Prints the status of a sweep.
pub(super) fn status(arguments: &StatusArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::open_read_only(&arguments.folder)?;
    let trials = submitted_trials(&folder)?;
    let status = SweepStatus::collect(&folder, &trials)?;
    print(&status, Format::from_flag(arguments.json))?;
    Ok(ExitCode::Success)
}

impl SweepStatus {
    fn collect(folder: &SweepFolder, trials: &[Trial]) -> Result<Self, RunnerError> {
        let submission = folder.submission();
        let mut notebook = Notebook::read(&folder.notebook_file())?;
        if let Some(submission) = &submission {
            // `:dep` lines may name crates relative to the original notebook.
            notebook.path.clone_from(&submission.notebook);
        }
        let mut programs = ProgramComparison::new(&notebook);
        let runner = folder.runner();
        let current: HashSet<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
        let others = folder.other_trials(&current).len();
        let jobs = runtime::multi_thread()?
            .block_on(query_live_jobs(folder))
            .transpose();
        let live_jobs = jobs.as_ref().and_then(|jobs| jobs.as_ref().ok());
        let trials: Vec<TrialOutput> = trials
            .iter()
            .map(|trial| {
                TrialOutput::collect(folder, trial, runner.as_ref(), live_jobs, &mut programs)
            })
            .collect();
        let counts: StatusCounts = trials.iter().map(|trial| trial.status).collect();
        let seconds = trials
            .iter()
            .filter(|trial| trial.status == TrialStatus::Succeeded)
            .filter_map(|trial| Some(trial.result.as_ref()?.seconds));
        let workers = workers(runner.as_ref(), submission.as_ref());
        let has_changed = |trial: &&TrialOutput| !trial.changed.as_ref().is_none_or(Vec::is_empty);
        Ok(Self {
            version: VERSION,
            command: "status",
            sweep: folder.name(),
            running: runner.is_some(),
            runner,
            total: counts.total,
            succeeded: counts.succeeded,
            failed: counts.failed,
            cancelled: counts.cancelled,
            left: counts.left(),
            changed: trials.iter().filter(has_changed).count(),
            others,
            slurm: jobs.map(SlurmStatus::new),
            estimate: Estimate::new(seconds, counts.left(), workers),
            trials,
        })
    }
}

/// How many trials run at once, now or when the sweep was submitted.
fn workers(runner: Option<&RunnerRecord>, submission: Option<&Submission>) -> usize {
    match (runner, submission) {
        (Some(runner), _) => runner.workers,
        (None, Some(submission)) => submission.workers,
        (None, None) => 1,
    }
}

impl TrialOutput {
    fn collect(
        folder: &SweepFolder,
        trial: &Trial,
        runner: Option<&RunnerRecord>,
        jobs: Option<&LiveJobs>,
        programs: &mut ProgramComparison,
    ) -> Self {
        let summary = folder.summary(&trial.id);
        let attempts = summary.attempts;
        // A published result is newer than what Slurm says.
        let job = jobs
            .and_then(|jobs| jobs.trials.get(&trial.id))
            .filter(|_| !summary.is_finished());
        let status = status_of(folder, trial, &summary, runner, job);
        let changed = summary
            .result
            .as_ref()
            .and_then(|result| programs.differences(folder, result));
        Self {
            trial: trial.id.clone(),
            status,
            attempts,
            job: job.map(|job| job.task.to_string()),
            parameters: trial.overrides.clone(),
            changed,
            result: summary.result,
        }
    }
}

fn status_of(
    folder: &SweepFolder,
    trial: &Trial,
    summary: &TrialSummary,
    runner: Option<&RunnerRecord>,
    job: Option<&LiveTask>,
) -> TrialStatus {
    match job.map(|job| &job.state) {
        Some(JobState::Waiting) => return TrialStatus::Waiting,
        Some(JobState::Running) => return TrialStatus::Running,
        _ => {}
    }
    let is_running = summary.status == TrialStatus::Unfinished
        && runner.is_some_and(|runner| has_started(folder, trial, summary.attempts, runner));
    if is_running {
        TrialStatus::Running
    } else {
        summary.status
    }
}

/// Whether the runner at work started the attempt; otherwise it is left over from an earlier one.
fn has_started(folder: &SweepFolder, trial: &Trial, attempt: usize, runner: &RunnerRecord) -> bool {
    let events = folder.attempt(&trial.id, attempt).join("events.jsonl");
    let written = std::fs::metadata(events).and_then(|metadata| metadata.modified());
    let since = DateTime::parse_from_rfc3339(&runner.since).map(SystemTime::from);
    match (since, written) {
        (Ok(since), Ok(written)) => written >= since,
        _ => false,
    }
}

impl SlurmStatus {
    fn new(jobs: Result<LiveJobs, SlurmError>) -> Self {
        let jobs = match jobs {
            Ok(jobs) => jobs,
            Err(error) => {
                return Self {
                    error: Some(error.to_string()),
                    ..Self::default()
                };
            }
        };
        let mut status = Self::default();
        for LiveTask { state, reason, .. } in jobs.trials.into_values() {
            let reason = match state {
                JobState::Running => {
                    status.running += 1;
                    continue;
                }
                JobState::Unknown(state) => {
                    status.unknown += 1;
                    state
                }
                _ => {
                    status.waiting += 1;
                    reason
                }
            };
            if !reason.is_empty() {
                *status.reasons.entry(reason).or_default() += 1;
            }
        }
        status
    }
}

impl Output for SweepStatus {
    fn print_text(&self) {
        outln!("{self}");
    }
}

impl fmt::Display for SweepStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "sweep {}: {} trials, {} succeeded, {} failed, ",
            self.sweep, self.total, self.succeeded, self.failed
        )?;
        if self.cancelled > 0 {
            write!(formatter, "{} cancelled, ", self.cancelled)?;
        }
        write!(formatter, "{} left; ", self.left)?;
        match &self.runner {
            Some(runner) => write!(formatter, "a runner is at work ({runner})")?,
            None => write!(formatter, "no runner is at work")?,
        }
        if let Some(slurm) = &self.slurm {
            write!(formatter, "\n{slurm}")?;
        }
        if let Some(estimate) = &self.estimate {
            write!(formatter, "\n{estimate}")?;
        }
        if self.changed > 0 {
            let mut parts: Vec<&str> = self
                .trials
                .iter()
                .flat_map(|trial| trial.changed.iter().flatten())
                .map(String::as_str)
                .collect();
            parts.sort_unstable();
            parts.dedup();
            write!(
                formatter,
                "\n{} results were made with another {} than the current one: `offmodel sweep --rerun-changed` runs their trials again",
                self.changed,
                parts.join(", ")
            )?;
        }
        if self.others > 0 {
            write!(
                formatter,
                "\n{} more trials in the folder belong to another version of the notebook or its data, or to another grid: `offmodel clean` lists them",
                self.others
            )?;
        }
        for trial in &self.trials {
            trial.write_line(formatter)?;
        }
        Ok(())
    }
}

impl TrialOutput {
    /// Writes a line about a trial that runs, failed or was cancelled, and nothing about others.
    fn write_line(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trial, values) = (&self.trial, describe(&self.parameters));
        let attempt = self.result.as_ref().map_or(0, |result| result.attempt);
        match self.status {
            TrialStatus::Running => {
                let job = match &self.job {
                    Some(job) => format!(", job {job}"),
                    None => String::new(),
                };
                let attempt = self.attempts;
                write!(
                    formatter,
                    "\ntrial {trial} is running in attempt {attempt}{job} ({values})"
                )
            }
            TrialStatus::Cancelled => write!(
                formatter,
                "\ntrial {trial} was cancelled in attempt {attempt} ({values})"
            ),
            TrialStatus::Failed => {
                let result = self.result.as_ref();
                match result.and_then(|result| result.cause.as_ref()) {
                    Some(cause) => write!(
                        formatter,
                        "\ntrial {trial} failed in attempt {attempt}: {cause} ({values})"
                    ),
                    None => Ok(()),
                }
            }
            TrialStatus::New
            | TrialStatus::Waiting
            | TrialStatus::Unfinished
            | TrialStatus::Succeeded => Ok(()),
        }
    }
}

impl fmt::Display for SlurmStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.error {
            return write!(
                formatter,
                "Slurm did not answer, so trials without a result may wait or run there: {error}"
            );
        }
        write!(
            formatter,
            "in Slurm: {} running, {} waiting",
            self.running, self.waiting
        )?;
        if self.unknown > 0 {
            write!(formatter, ", {} in an unknown state", self.unknown)?;
        }
        let reasons: Vec<String> = self
            .reasons
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        if !reasons.is_empty() {
            write!(formatter, " ({})", reasons.join(", "))?;
        }
        Ok(())
    }
}
