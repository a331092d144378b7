//! Decides which trials run, and why.

use offmodel_program::Notebook;
use serde::Serialize;

use super::program_comparison::ProgramComparison;
use super::{DataHashes, Selection, Trial, trial_id};
use crate::executor::AttemptSpec;
use crate::store::{AttemptResult, Submission, SweepFolder, TrialStatus, TrialSummary};

/// A trial with the decision whether it runs.
#[derive(Debug)]
pub(crate) struct PlannedTrial<'a> {
    pub(crate) trial: &'a Trial,
    pub(crate) summary: TrialSummary,
    pub(crate) reason: Reason,
}

/// Why a trial runs, or why it is skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Reason {
    /// Runs: the trial has no attempt.
    New,
    /// Runs: the same parameters ran with other code, which had another id.
    NotebookChanged {
        /// The id of the trial with the same parameters and the previous code.
        #[serde(rename = "former")]
        previous: String,
    },
    /// Runs: the same parameters ran with other data, which had another id.
    DataChanged {
        /// The id of the trial with the same parameters and the previous data.
        #[serde(rename = "former")]
        previous: String,
        /// The files and folders that changed.
        data: Vec<String>,
    },
    /// Runs: the last attempt failed.
    Failed { attempt: usize, cause: String },
    /// Runs: the last attempt has no result.
    Unfinished { attempt: usize },
    /// Runs: the trial succeeded, but with another program, and `--rerun-changed` was given.
    ProgramChanged {
        attempt: usize,
        /// The parts of the program that differ.
        parts: Vec<String>,
    },
    /// Runs: the trial succeeded, but `offmodel retry` selected it.
    Requested { attempt: usize },
    /// Runs: the trial was cancelled, but `offmodel retry` selected it.
    Revived { attempt: usize },
    /// Skipped: the trial was cancelled.
    Cancelled { attempt: usize },
    /// Skipped: the trial succeeded.
    Succeeded {
        attempt: usize,
        /// The parts of the program that differ from the current one.
        changed: Vec<String>,
    },
    /// Skipped: `offmodel retry` did not select the trial.
    NotRequested,
}

impl Reason {
    /// Whether the trial runs.
    pub(crate) fn runs(&self) -> bool {
        !matches!(
            self,
            Self::Succeeded { .. } | Self::Cancelled { .. } | Self::NotRequested
        )
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::New => write!(formatter, "runs: new"),
            Self::NotebookChanged { previous } => {
                write!(
                    formatter,
                    "runs: the notebook changed since trial {previous}"
                )
            }
            Self::DataChanged { previous, data } => write!(
                formatter,
                "runs: {} changed since trial {previous}",
                data.join(", ")
            ),
            Self::Failed { attempt, cause } => {
                write!(formatter, "runs: failed in attempt {attempt}: {cause}")
            }
            Self::Unfinished { attempt } => {
                write!(formatter, "runs: attempt {attempt} did not finish")
            }
            Self::ProgramChanged { attempt, parts } => write!(
                formatter,
                "runs: succeeded in attempt {attempt} with another {}",
                parts.join(", ")
            ),
            Self::Requested { attempt } => write!(
                formatter,
                "runs: asked for by name; succeeded in attempt {attempt}"
            ),
            Self::Revived { attempt } => write!(
                formatter,
                "runs: asked for by name; cancelled in attempt {attempt}"
            ),
            Self::Cancelled { attempt } => write!(
                formatter,
                "skipped: cancelled in attempt {attempt} (`offmodel retry` with its name runs it)"
            ),
            Self::Succeeded { attempt, changed } if changed.is_empty() => {
                write!(formatter, "skipped: succeeded in attempt {attempt}")
            }
            Self::Succeeded { attempt, changed } => write!(
                formatter,
                "skipped: succeeded in attempt {attempt}, with another {} (--rerun-changed runs it again)",
                changed.join(", ")
            ),
            Self::NotRequested => write!(formatter, "skipped: not asked for"),
        }
    }
}

impl PlannedTrial<'_> {
    /// The attempt that the plan makes, if the trial runs.
    pub(crate) fn next_attempt(&self) -> Option<PlannedAttempt> {
        self.reason.runs().then(|| PlannedAttempt {
            trial: self.trial.clone(),
            attempt: self.summary.attempts + 1,
        })
    }
}

/// An attempt to make, before the notebook is compiled.
#[derive(Debug, Clone)]
pub(crate) struct PlannedAttempt {
    pub(crate) trial: Trial,
    /// The attempt's number, from 1.
    pub(crate) attempt: usize,
}

impl PlannedAttempt {
    /// The attempt with the program that it runs.
    pub(crate) fn with_program(self, key: &str) -> AttemptSpec {
        AttemptSpec {
            trial: self.trial,
            attempt: self.attempt,
            program: key.to_owned(),
        }
    }
}

/// The plan of `offmodel sweep`: every trial runs that did not succeed and was not cancelled. With
/// `rerun_changed`, trials run again that succeeded with a program other than the current one.
pub(crate) fn plan<'a>(
    folder: &SweepFolder,
    trials: &'a [Trial],
    notebook: &Notebook,
    rerun_changed: bool,
) -> Vec<PlannedTrial<'a>> {
    let previous = PreviousSubmission::read(folder, notebook);
    // Identifying the current program takes time, so only if there is a result to compare with.
    let mut programs = None;
    let mut differences = |result: &AttemptResult| {
        programs
            .get_or_insert_with(|| ProgramComparison::new(notebook))
            .differences(folder, result)
            .unwrap_or_default()
    };
    let mut planned = |trial: &'a Trial| {
        let summary = folder.summary(&trial.id);
        let reason = match (summary.status, &summary.result) {
            (TrialStatus::Succeeded, Some(result)) => {
                let (attempt, changed) = (result.attempt, differences(result));
                if rerun_changed && !changed.is_empty() {
                    Reason::ProgramChanged {
                        attempt,
                        parts: changed,
                    }
                } else {
                    Reason::Succeeded { attempt, changed }
                }
            }
            (TrialStatus::Cancelled, Some(result)) => Reason::Cancelled {
                attempt: result.attempt,
            },
            (_, Some(result)) => failed(result),
            (TrialStatus::Unfinished, None) => Reason::Unfinished {
                attempt: summary.attempts,
            },
            (_, None) => previous
                .as_ref()
                .and_then(|previous| previous.reason_to_run(folder, trial))
                .unwrap_or(Reason::New),
        };
        PlannedTrial {
            trial,
            summary,
            reason,
        }
    };
    trials.iter().map(&mut planned).collect()
}

/// The plan of `offmodel retry`: the selected trials run; without a selection, those that failed.
pub(crate) fn plan_retry<'a>(
    folder: &SweepFolder,
    trials: &'a [Trial],
    selection: &Selection,
) -> Vec<PlannedTrial<'a>> {
    let planned = |trial: &'a Trial| {
        let summary = folder.summary(&trial.id);
        let is_selected = selection.contains(trial);
        let attempt = match &summary.result {
            Some(result) => result.attempt,
            None => summary.attempts,
        };
        let reason = match (summary.status, &summary.result) {
            (TrialStatus::Failed, Some(result)) if selection.is_empty() || is_selected => {
                failed(result)
            }
            (TrialStatus::Succeeded, _) if is_selected => Reason::Requested { attempt },
            (TrialStatus::Cancelled, _) if is_selected => Reason::Revived { attempt },
            (TrialStatus::Cancelled, _) => Reason::Cancelled { attempt },
            (TrialStatus::Unfinished, _) if is_selected => Reason::Unfinished { attempt },
            (TrialStatus::New, _) if is_selected => Reason::New,
            _ => Reason::NotRequested,
        };
        PlannedTrial {
            trial,
            summary,
            reason,
        }
    };
    trials.iter().map(planned).collect()
}

fn failed(result: &AttemptResult) -> Reason {
    Reason::Failed {
        attempt: result.attempt,
        cause: result
            .cause
            .as_ref()
            .map_or_else(|| "of unknown cause".to_owned(), ToString::to_string),
    }
}

/// The last submission, to explain why a trial has a new id.
struct PreviousSubmission {
    submission: Submission,
    notebook_changed: bool,
}

impl PreviousSubmission {
    fn read(folder: &SweepFolder, notebook: &Notebook) -> Option<Self> {
        let submission = folder.submission()?;
        Some(Self {
            notebook_changed: submission.code_hash != notebook.code_hash(),
            submission,
        })
    }

    /// What changed since the same parameters ran before, if they did.
    fn reason_to_run(&self, folder: &SweepFolder, trial: &Trial) -> Option<Reason> {
        let data: DataHashes = trial
            .data
            .keys()
            .filter_map(|path| Some((path.clone(), self.submission.hash(path).ok()?)))
            .collect();
        let changed: Vec<String> = data
            .iter()
            .filter(|(path, hash)| trial.data.get(*path) != Some(*hash))
            .map(|(path, _)| path.clone())
            .collect();
        if !self.notebook_changed && changed.is_empty() {
            return None;
        }
        let previous = trial_id(&self.submission.code_hash, &trial.parameters, &data);
        if folder.attempts(&previous).is_empty() {
            return None;
        }
        Some(if self.notebook_changed {
            Reason::NotebookChanged { previous }
        } else {
            Reason::DataChanged {
                previous,
                data: changed,
            }
        })
    }
}
