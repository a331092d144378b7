//! What `offmodel sweep` and `retry` print before a run, or instead of it with `--dry-run`.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::output::{Output, VERSION};
use crate::assignment::{Assignment, describe};
use crate::estimate::Estimate;
use crate::executor::SlotPlan;
use crate::store::{SweepFolder, TrialStatus};
use crate::sweep::Trials;
use crate::sweep::plan::{PlannedTrial, Reason};
use crate::terminal::{errln, outln};

/// The plan of a sweep, as `--dry-run` prints it.
#[derive(Debug, Serialize)]
pub(super) struct PlanOutput<'a> {
    version: u32,
    command: &'static str,
    sweep: String,
    /// Always true: distinguishes this document from that of a run.
    dry_run: bool,
    total: usize,
    to_run: usize,
    merged: usize,
    excluded: usize,
    estimate: Option<Estimate>,
    trials: Vec<PlannedTrialOutput<'a>>,
    /// How many trials run or are skipped, by reason.
    #[serde(skip)]
    reasons: Vec<String>,
    /// Trials in the folder that the sweep does not have.
    #[serde(skip)]
    others: usize,
    #[serde(skip)]
    folder: &'a SweepFolder,
}

#[derive(Debug, Serialize)]
struct PlannedTrialOutput<'a> {
    trial: &'a str,
    runs: bool,
    reason: &'a Reason,
    text: String,
    parameters: &'a Assignment,
}

impl<'a> PlanOutput<'a> {
    pub(super) fn new(
        command: &'static str,
        folder: &'a SweepFolder,
        trials: &'a Trials,
        plan: &'a [PlannedTrial<'a>],
        slots: &SlotPlan,
    ) -> Self {
        let to_run = plan.iter().filter(|planned| planned.reason.runs()).count();
        let seconds = plan
            .iter()
            .map(|planned| &planned.summary)
            .filter(|summary| summary.status == TrialStatus::Succeeded)
            .filter_map(|summary| Some(summary.result.as_ref()?.seconds));
        let current: HashSet<&str> = trials.list.iter().map(|trial| trial.id.as_str()).collect();
        Self {
            version: VERSION,
            command,
            sweep: folder.name(),
            dry_run: true,
            total: plan.len(),
            to_run,
            merged: trials.merged,
            excluded: trials.excluded,
            estimate: Estimate::new(seconds, to_run, slots.allocations.len()),
            trials: plan
                .iter()
                .map(|planned| PlannedTrialOutput {
                    trial: &planned.trial.id,
                    runs: planned.reason.runs(),
                    reason: &planned.reason,
                    text: planned.reason.to_string(),
                    parameters: &planned.trial.overrides,
                })
                .collect(),
            reasons: count_reasons(plan),
            others: folder.other_trials(&current).len(),
            folder,
        }
    }

    /// Prints how many trials will run, and why, to standard error.
    pub(super) fn announce(&self) {
        if self.merged > 0 {
            errln!(
                "{} trials are listed more than once and are merged",
                self.merged
            );
        }
        if self.excluded > 0 {
            errln!("{} trials are excluded", self.excluded);
        }
        let reasons = if self.reasons.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.reasons.join("; "))
        };
        errln!("sweep {}: {} trials{reasons}", self.sweep, self.total);
        if self.others > 0 {
            errln!(
                "{} more trials in {} belong to another version of the notebook or its data, or to another grid; they are left alone (offmodel clean lists them)",
                self.others,
                self.folder.path().display()
            );
        }
        if let Some(estimate) = &self.estimate {
            errln!("{estimate}");
        }
    }
}

impl Output for PlanOutput<'_> {
    fn print_text(&self) {
        for trial in &self.trials {
            let values = describe(trial.parameters);
            outln!("trial {}  {values}  {}", trial.trial, trial.text);
        }
        self.announce();
    }
}

fn count_reasons(plan: &[PlannedTrial<'_>]) -> Vec<String> {
    let (mut done, mut failed, mut unfinished, mut not_selected) = (0, 0, 0, 0);
    let (mut requested, mut revived, mut cancelled, mut notebook_changed) = (0, 0, 0, 0);
    let mut data_changed: BTreeMap<String, usize> = BTreeMap::new();
    let mut done_with_another: BTreeMap<String, usize> = BTreeMap::new();
    let mut rerun: BTreeMap<String, usize> = BTreeMap::new();
    for planned in plan {
        match &planned.reason {
            Reason::New => {}
            Reason::NotebookChanged { .. } => notebook_changed += 1,
            Reason::DataChanged { data, .. } => {
                *data_changed.entry(data.join(", ")).or_default() += 1;
            }
            Reason::Failed { .. } => failed += 1,
            Reason::Unfinished { .. } => unfinished += 1,
            Reason::ProgramChanged { parts, .. } => {
                *rerun.entry(parts.join(", ")).or_default() += 1;
            }
            Reason::Requested { .. } => requested += 1,
            Reason::Revived { .. } => revived += 1,
            Reason::Cancelled { .. } => cancelled += 1,
            Reason::Succeeded { changed, .. } => {
                done += 1;
                if !changed.is_empty() {
                    *done_with_another.entry(changed.join(", ")).or_default() += 1;
                }
            }
            Reason::NotRequested => not_selected += 1,
        }
    }
    let mut lines = Vec::new();
    let mut add = |count: usize, what: String| {
        if count > 0 {
            lines.push(format!("{count} {what}"));
        }
    };
    add(done, "already done, skipped".to_owned());
    for (parts, count) in done_with_another {
        add(
            count,
            format!("of these with another {parts}: --rerun-changed runs them again"),
        );
    }
    for (parts, count) in rerun {
        add(count, format!("done with another {parts}, run again"));
    }
    add(failed, "failed before, run again".to_owned());
    add(unfinished, "did not finish, run again".to_owned());
    add(
        notebook_changed,
        "new because the notebook changed since it was submitted".to_owned(),
    );
    for (paths, count) in data_changed {
        add(count, format!("new because {paths} changed"));
    }
    add(requested, "asked for by name, run again".to_owned());
    add(
        revived,
        "cancelled before and asked for by name, run again".to_owned(),
    );
    add(cancelled, "cancelled, skipped".to_owned());
    add(not_selected, "not asked for".to_owned());
    lines
}
