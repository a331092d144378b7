//! Which trials run, and why.

use std::collections::HashMap;

use offmodel_program::{Cache, Identity, Notebook, identify};
use offmodel_toolchain::Toolchain;
use serde::Serialize;

use super::selection::Selection;
use crate::executor::AttemptSpec;
use crate::store::{AttemptResult, Standing, Submission, SweepFolder, TrialState};
use crate::sweep::{DataHashes, Trial, identity};

/// A trial and whether it is to run.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    pub trial: &'a Trial,
    pub attempts: usize,
    pub standing: Standing,
    pub reason: Reason,
}

/// Why a trial runs, or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Reason {
    /// It runs: it never did.
    New,
    /// It runs: what it did under an earlier identity was with other code.
    NotebookChanged {
        /// The trial with the same parameters and the earlier code.
        former: String,
    },
    /// It runs: what it did under an earlier identity was with other data.
    DataChanged {
        /// The trial with the same parameters and the earlier data.
        former: String,
        /// The files and folders that are not as they were.
        data: Vec<String>,
    },
    /// It runs: the last attempt failed.
    Failed { attempt: usize, cause: String },
    /// It runs: the last attempt has no result.
    Unfinished { attempt: usize },
    /// It runs: it succeeded with another program, and that was said to count.
    ProgramChanged {
        attempt: usize,
        /// What is not the same.
        parts: Vec<String>,
    },
    /// It runs although it succeeded: it was asked for by name.
    Requested { attempt: usize },
    /// It runs although it was cancelled: it was asked for.
    Revived { attempt: usize },
    /// It is skipped: somebody cancelled it.
    Cancelled { attempt: usize },
    /// It is skipped: an attempt succeeded.
    Succeeded {
        attempt: usize,
        /// What is not the same as in the program of that attempt.
        changed: Vec<String>,
    },
    /// It is skipped: other trials are asked for.
    NotRequested,
}

impl Reason {
    pub fn runs(&self) -> bool {
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
            Self::NotebookChanged { former } => {
                write!(formatter, "runs: the notebook changed since trial {former}")
            }
            Self::DataChanged { former, data } => write!(
                formatter,
                "runs: {} changed since trial {former}",
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

impl Planned<'_> {
    /// The attempt that the plan makes at this trial, if it runs.
    pub fn next_attempt(&self) -> Option<PlannedAttempt> {
        self.reason.runs().then(|| PlannedAttempt {
            trial: self.trial.clone(),
            attempt: self.attempts + 1,
        })
    }
}

/// An attempt to make, before the notebook is compiled.
#[derive(Debug, Clone)]
pub(super) struct PlannedAttempt {
    pub trial: Trial,
    /// The attempt's number, from 1.
    pub attempt: usize,
}

impl PlannedAttempt {
    /// The attempt with the program that it runs.
    pub fn with_program(self, key: &str) -> AttemptSpec {
        AttemptSpec {
            trial: self.trial,
            attempt: self.attempt,
            program: key.to_owned(),
        }
    }
}

/// The plan of `offmodel sweep`: what did not succeed runs, and with `rerun_changed` also what
/// succeeded with another program than the notebook's present one.
pub(super) fn plan<'a>(
    folder: &SweepFolder,
    trials: &'a [Trial],
    notebook: &Notebook,
    rerun_changed: bool,
) -> Vec<Planned<'a>> {
    let former = Former::of(folder, notebook);
    let mut programs = None;
    trials
        .iter()
        .map(|trial| {
            let TrialState { attempts, standing } = folder.state(&trial.id);
            let reason = match &standing {
                Standing::New => former
                    .as_ref()
                    .and_then(|former| former.reason(folder, trial))
                    .unwrap_or(Reason::New),
                Standing::Failed(result) => failed(result),
                Standing::Cancelled(result) => Reason::Cancelled {
                    attempt: result.attempt,
                },
                Standing::Unfinished => Reason::Unfinished { attempt: attempts },
                Standing::Succeeded(result) => {
                    let attempt = result.attempt;
                    let changed = programs
                        .get_or_insert_with(|| Programs::now(notebook))
                        .changed(folder, result)
                        .unwrap_or_default();
                    if rerun_changed && !changed.is_empty() {
                        Reason::ProgramChanged {
                            attempt,
                            parts: changed,
                        }
                    } else {
                        Reason::Succeeded { attempt, changed }
                    }
                }
            };
            Planned {
                trial,
                attempts,
                standing,
                reason,
            }
        })
        .collect()
}

/// The plan of `offmodel retry`: the trials that were chosen; where none were, those that failed.
pub(super) fn plan_retry<'a>(
    folder: &SweepFolder,
    trials: &'a [Trial],
    chosen: &Selection,
) -> Vec<Planned<'a>> {
    trials
        .iter()
        .map(|trial| {
            let TrialState { attempts, standing } = folder.state(&trial.id);
            let is_named = chosen.has(trial);
            let reason = match &standing {
                Standing::Failed(result) if chosen.is_empty() || is_named => failed(result),
                Standing::Succeeded(result) if is_named => Reason::Requested {
                    attempt: result.attempt,
                },
                Standing::Cancelled(result) if is_named => Reason::Revived {
                    attempt: result.attempt,
                },
                Standing::Cancelled(result) => Reason::Cancelled {
                    attempt: result.attempt,
                },
                Standing::Unfinished if is_named => Reason::Unfinished { attempt: attempts },
                Standing::New if is_named => Reason::New,
                _ => Reason::NotRequested,
            };
            Planned {
                trial,
                attempts,
                standing,
                reason,
            }
        })
        .collect()
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

/// The submission before this one, where it had other code or other data.
struct Former {
    submission: Submission,
    notebook_changed: bool,
}

impl Former {
    fn of(folder: &SweepFolder, notebook: &Notebook) -> Option<Self> {
        let submission = folder.submission()?;
        Some(Self {
            notebook_changed: submission.code_hash != notebook.code_hash(),
            submission,
        })
    }

    /// What changed since the same parameters ran before.
    fn reason(&self, folder: &SweepFolder, trial: &Trial) -> Option<Reason> {
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
        let former = identity(&self.submission.code_hash, &trial.parameters, &data);
        if folder.attempts(&former).is_empty() {
            return None;
        }
        Some(if self.notebook_changed {
            Reason::NotebookChanged { former }
        } else {
            Reason::DataChanged {
                former,
                data: changed,
            }
        })
    }
}

/// The program that a notebook becomes now, compared with those that made results.
pub(super) struct Programs {
    /// `None` where that cannot be told, for example without a toolchain.
    now: Option<Identity>,
    /// What is not the same, by the name of the program.
    compared: HashMap<String, Vec<String>>,
}

impl Programs {
    pub fn now(notebook: &Notebook) -> Self {
        let now = Cache::of_user().and_then(|cache| {
            let toolchain = Toolchain::locate().ok()?;
            identify(notebook, &toolchain, &cache).ok()
        });
        Self {
            now,
            compared: HashMap::new(),
        }
    }

    /// What is not the same in the program of now as in that of a result; `None` where it cannot
    /// be told.
    pub fn changed(&mut self, folder: &SweepFolder, result: &AttemptResult) -> Option<Vec<String>> {
        let now = self.now.as_ref()?;
        let spec = || folder.spec(&result.trial, result.attempt);
        let key = match &result.program {
            Some(key) => key.clone(),
            None => spec()?.provenance.program,
        };
        if key == now.key {
            return Some(Vec::new());
        }
        if let Some(known) = self.compared.get(&key) {
            return Some(known.clone());
        }
        let parts = match spec()?.provenance.versions {
            Some(versions) => versions
                .differences(&now.versions)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            None => vec!["program".to_owned()],
        };
        self.compared.insert(key, Vec::clone(&parts));
        Some(parts)
    }
}
