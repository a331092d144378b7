use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

use chrono::DateTime;
use offmodel_program::Notebook;
use serde::Serialize;

use super::StatusArguments;
use super::json::{VERSION, print_json};
use super::order::runtime;
use super::plan::Programs;
use crate::assignment::{Assignment, described};
use crate::error::RunnerError;
use crate::estimate::Estimate;
use crate::executor::slurm::{JobState, LiveJobs, LiveTask, SlurmError, query_live_jobs};
use crate::exit_code::ExitCode;
use crate::store::{
    AttemptResult, DataError, RunnerRecord, Standing, Submission, SweepFolder, TrialState,
};
use crate::sweep::{SweepSpec, Trial, trials};
use crate::terminal::outln;

/// Where a sweep stands.
#[derive(Debug, Serialize)]
struct SweepStatus {
    version: u32,
    command: &'static str,
    sweep: String,
    /// Whether a runner is at work on it.
    running: bool,
    /// Who that is.
    runner: Option<RunnerRecord>,
    total: usize,
    succeeded: usize,
    failed: usize,
    cancelled: usize,
    /// Without a result: never begun, running, or interrupted.
    left: usize,
    /// Results of another program than there is now.
    changed: usize,
    /// Trials in the folder that the sweep as submitted does not have.
    others: usize,
    /// What Slurm says about its jobs; `None` where it can have none there.
    slurm: Option<SlurmStatus>,
    estimate: Option<Estimate>,
    trials: Vec<TrialStatus>,
}

/// The jobs of a sweep in Slurm.
#[derive(Debug, Default, Serialize)]
struct SlurmStatus {
    /// Why Slurm could not be asked; `None` if it answered.
    error: Option<String>,
    waiting: usize,
    running: usize,
    /// In states that we do not know.
    unknown: usize,
    /// Why jobs wait, or the states that we do not know, in Slurm's words.
    reasons: BTreeMap<String, usize>,
}

#[derive(Debug, Serialize)]
struct TrialStatus {
    trial: String,
    status: &'static str,
    attempts: usize,
    /// The job in Slurm that makes its attempt, as `squeue` names it.
    job: Option<String>,
    parameters: Assignment,
    /// What is not the same in the program of now as in that of the result; `None` where that
    /// cannot be told.
    changed: Option<Vec<String>>,
    result: Option<AttemptResult>,
}

/// Tells where a sweep stands.
pub(super) fn status(arguments: &StatusArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::view(&arguments.folder)?;
    let submission = folder.submission();
    let trials = submitted_trials(&folder)?;
    let status = collect(&folder, submission.as_ref(), &trials)?;
    if arguments.json {
        return print_json(&status);
    }
    outln!("{}", readable(&status));
    Ok(ExitCode::Success)
}

/// The trials of a sweep, from sweep file, notebook and hashes of data as they were submitted.
pub(crate) fn submitted_trials(folder: &SweepFolder) -> Result<Vec<Trial>, RunnerError> {
    let spec = SweepSpec::read(&folder.sweep_file())?;
    let notebook = Notebook::read(&folder.notebook_file())?;
    let parameters = notebook.parameters()?;
    let submission = folder.submission();
    let mut hash = |path: &str| match &submission {
        Some(submission) => submission.hash(path),
        None => Err(DataError::NotSubmitted {
            path: path.to_owned(),
        }),
    };
    Ok(trials(&spec, &parameters, &notebook.code_hash(), &mut hash)?.list)
}

fn collect(
    folder: &SweepFolder,
    submission: Option<&Submission>,
    trials: &[Trial],
) -> Result<SweepStatus, RunnerError> {
    let mut notebook = Notebook::read(&folder.notebook_file())?;
    if let Some(submission) = submission {
        // Crates of `:dep` may be named relative to where it came from.
        notebook.path.clone_from(&submission.notebook);
    }
    let mut programs = Programs::now(&notebook);
    let runner = folder.runner();
    let since = runner.as_ref().and_then(|runner| moment(&runner.since));
    let current: HashSet<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    let others = folder.other_trials(&current).len();
    let asked = runtime()?.block_on(query_live_jobs(folder)).transpose();
    let jobs = match &asked {
        Some(Ok(live)) => Some(&live.trials),
        _ => None,
    };
    let trials: Vec<TrialStatus> = trials
        .iter()
        .map(|trial| {
            let TrialState { attempts, standing } = folder.state(&trial.id);
            let job = match standing {
                // What it published outranks Slurm's word.
                Standing::Succeeded(_) | Standing::Failed(_) | Standing::Cancelled(_) => None,
                Standing::New | Standing::Unfinished => jobs.and_then(|jobs| jobs.get(&trial.id)),
            };
            let (status, result) = match standing {
                _ if job.is_some_and(|job| job.state == JobState::Waiting) => ("waiting", None),
                _ if job.is_some_and(|job| job.state == JobState::Running) => ("running", None),
                Standing::New => ("new", None),
                Standing::Unfinished if began_after(folder, trial, attempts, since) => {
                    ("running", None)
                }
                Standing::Unfinished => ("unfinished", None),
                Standing::Succeeded(result) => ("succeeded", Some(result)),
                Standing::Failed(result) => ("failed", Some(result)),
                Standing::Cancelled(result) => ("cancelled", Some(result)),
            };
            let changed = result
                .as_ref()
                .and_then(|result| programs.changed(folder, result));
            TrialStatus {
                trial: trial.id.clone(),
                status,
                attempts,
                job: job.map(|job| job.task.to_string()),
                parameters: trial.given.clone(),
                changed,
                result,
            }
        })
        .collect();
    let count = |status| trials.iter().filter(|trial| trial.status == status).count();
    let left = trials.len() - count("succeeded") - count("failed") - count("cancelled");
    let workers = match (&runner, submission) {
        (Some(runner), _) => runner.workers,
        (None, Some(submission)) => submission.workers,
        (None, None) => 1,
    };
    let finished = trials
        .iter()
        .filter(|trial| trial.status == "succeeded")
        .filter_map(|trial| Some(trial.result.as_ref()?.seconds));
    Ok(SweepStatus {
        version: VERSION,
        command: "status",
        sweep: folder.name(),
        running: runner.is_some(),
        runner,
        total: trials.len(),
        succeeded: count("succeeded"),
        failed: count("failed"),
        cancelled: count("cancelled"),
        left,
        changed: trials
            .iter()
            .filter(|trial| !trial.changed.as_ref().is_none_or(Vec::is_empty))
            .count(),
        others,
        slurm: asked.map(SlurmStatus::new),
        estimate: Estimate::new(finished, left, workers),
        trials,
    })
}

impl SlurmStatus {
    fn new(asked: Result<LiveJobs, SlurmError>) -> Self {
        let live = match asked {
            Ok(live) => live,
            Err(error) => {
                return Self {
                    error: Some(error.to_string()),
                    ..Self::default()
                };
            }
        };
        let mut told = Self::default();
        for LiveTask { state, reason, .. } in live.trials.into_values() {
            let reason = match state {
                JobState::Running => {
                    told.running += 1;
                    continue;
                }
                JobState::Unknown(word) => {
                    told.unknown += 1;
                    word
                }
                _ => {
                    told.waiting += 1;
                    reason
                }
            };
            if !reason.is_empty() {
                *told.reasons.entry(reason).or_default() += 1;
            }
        }
        told
    }
}

impl std::fmt::Display for SlurmStatus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(error) = &self.error {
            return write!(
                formatter,
                "Slurm could not be asked, trials without a result may wait or run there: {error}"
            );
        }
        write!(
            formatter,
            "in Slurm: {} running, {} waiting",
            self.running, self.waiting
        )?;
        if self.unknown > 0 {
            write!(
                formatter,
                ", {} in a state that we do not know",
                self.unknown
            )?;
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

fn moment(text: &str) -> Option<SystemTime> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.into())
}

/// Whether the trial's last attempt is one of the runner at work: others are left from before.
fn began_after(
    folder: &SweepFolder,
    trial: &Trial,
    attempt: usize,
    since: Option<SystemTime>,
) -> bool {
    let events = folder.attempt(&trial.id, attempt).join("events.jsonl");
    let began = std::fs::metadata(events).and_then(|metadata| metadata.modified());
    since
        .zip(began.ok())
        .is_some_and(|(since, began)| began >= since)
}

/// Said only where it happened.
fn cancelled_part(cancelled: usize) -> String {
    match cancelled {
        0 => String::new(),
        cancelled => format!("{cancelled} cancelled, "),
    }
}

fn readable(status: &SweepStatus) -> String {
    let runner = match &status.runner {
        Some(runner) => format!("a runner is at work ({runner})"),
        None => "no runner is at work".to_owned(),
    };
    let mut text = format!(
        "sweep {}: {} trials, {} succeeded, {} failed, {}{} left; {runner}",
        status.sweep,
        status.total,
        status.succeeded,
        status.failed,
        cancelled_part(status.cancelled),
        status.left
    );
    if let Some(slurm) = &status.slurm {
        text.push_str(&format!("\n{slurm}"));
    }
    if let Some(estimate) = &status.estimate {
        text.push_str(&format!("\n{estimate}"));
    }
    if status.changed > 0 {
        let mut parts: Vec<&str> = status
            .trials
            .iter()
            .flat_map(|trial| trial.changed.iter().flatten())
            .map(String::as_str)
            .collect();
        parts.sort_unstable();
        parts.dedup();
        text.push_str(&format!(
            "\n{} results are of another {} than there is now: `offmodel sweep --rerun-changed` runs their trials again",
            status.changed,
            parts.join(", ")
        ));
    }
    if status.others > 0 {
        text.push_str(&format!(
            "\n{} more trials in the folder belong to another version of the notebook or its data, or to another grid: `offmodel clean` lists them",
            status.others
        ));
    }
    for trial in &status.trials {
        let values = described(&trial.parameters);
        match (trial.status, &trial.result) {
            ("running", _) => {
                let job = trial
                    .job
                    .as_ref()
                    .map_or_else(String::new, |job| format!(", job {job}"));
                text.push_str(&format!(
                    "\ntrial {} is running in attempt {}{job} ({values})",
                    trial.trial, trial.attempts
                ));
            }
            ("cancelled", Some(result)) => text.push_str(&format!(
                "\ntrial {} was cancelled in attempt {} ({values})",
                trial.trial, result.attempt
            )),
            (
                _,
                Some(AttemptResult {
                    cause: Some(cause),
                    attempt,
                    ..
                }),
            ) => text.push_str(&format!(
                "\ntrial {} failed in attempt {attempt}: {cause} ({values})",
                trial.trial
            )),
            _ => {}
        }
    }
    text
}
