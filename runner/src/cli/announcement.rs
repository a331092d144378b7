//! What is about to happen: said before a sweep, or instead of it.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::json::{VERSION, print_json};
use super::plan::{Planned, Reason};
use crate::assignment::{Assignment, described};
use crate::error::RunnerError;
use crate::estimate::Estimate;
use crate::executor::SlotPlan;
use crate::exit_code::ExitCode;
use crate::store::{Standing, SweepFolder};
use crate::sweep::Trials;
use crate::terminal::{errln, outln};

/// What `--dry-run` says, as JSON.
#[derive(Debug, Serialize)]
struct PlanDocument<'a> {
    version: u32,
    command: &'static str,
    sweep: String,
    dry_run: bool,
    total: usize,
    to_run: usize,
    merged: usize,
    excluded: usize,
    estimate: Option<Estimate>,
    trials: Vec<PlannedDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct PlannedDocument<'a> {
    trial: &'a str,
    runs: bool,
    reason: &'a Reason,
    text: String,
    parameters: &'a Assignment,
}

/// Says what would happen; as JSON, by the name of the command.
pub(super) fn tell_plan(
    folder: &SweepFolder,
    trials: &Trials,
    plan: &[Planned<'_>],
    slots: &SlotPlan,
    json: Option<&'static str>,
) -> Result<ExitCode, RunnerError> {
    let estimate = estimate(plan, slots);
    if let Some(command) = json {
        let document = PlanDocument {
            version: VERSION,
            command,
            sweep: folder.name(),
            dry_run: true,
            total: plan.len(),
            to_run: to_run(plan),
            merged: trials.merged,
            excluded: trials.excluded,
            estimate,
            trials: plan
                .iter()
                .map(|planned| PlannedDocument {
                    trial: &planned.trial.id,
                    runs: planned.reason.runs(),
                    reason: &planned.reason,
                    text: planned.reason.to_string(),
                    parameters: &planned.trial.given,
                })
                .collect(),
        };
        return print_json(&document);
    }
    for planned in plan {
        let values = described(&planned.trial.given);
        outln!("trial {}  {values}  {}", planned.trial.id, planned.reason);
    }
    announce(folder, trials, plan, slots);
    Ok(ExitCode::Success)
}

fn to_run(plan: &[Planned<'_>]) -> usize {
    plan.iter().filter(|planned| planned.reason.runs()).count()
}

fn estimate(plan: &[Planned<'_>], slots: &SlotPlan) -> Option<Estimate> {
    let finished = plan.iter().filter_map(|planned| match &planned.standing {
        Standing::Succeeded(result) => Some(result.seconds),
        _ => None,
    });
    Estimate::new(finished, to_run(plan), slots.allocations.len())
}

/// Says what is about to happen.
pub(super) fn announce(
    folder: &SweepFolder,
    trials: &Trials,
    plan: &[Planned<'_>],
    slots: &SlotPlan,
) {
    if trials.merged > 0 {
        errln!(
            "{} trials were asked for more than once and are merged",
            trials.merged
        );
    }
    if trials.excluded > 0 {
        errln!("{} trials are excluded", trials.excluded);
    }
    let reasons = reasons(plan);
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join("; "))
    };
    errln!("sweep {}: {} trials{reasons}", folder.name(), plan.len());
    let current: HashSet<&str> = trials.list.iter().map(|trial| trial.id.as_str()).collect();
    let others = folder.other_trials(&current).len();
    if others > 0 {
        errln!(
            "{others} more trials in {} belong to another version of the notebook or its data, or to another grid; they are left alone (offmodel clean lists them)",
            folder.path().display()
        );
    }
    if let Some(estimate) = estimate(plan, slots) {
        errln!("{estimate}");
    }
}

/// How many trials run or do not, by reason.
fn reasons(plan: &[Planned<'_>]) -> Vec<String> {
    let (mut done, mut failed, mut unfinished, mut unasked) = (0, 0, 0, 0);
    let (mut requested, mut revived, mut cancelled) = (0, 0, 0);
    let mut notebook = 0;
    let mut data: BTreeMap<String, usize> = BTreeMap::new();
    let mut stale: BTreeMap<String, usize> = BTreeMap::new();
    let mut rerun: BTreeMap<String, usize> = BTreeMap::new();
    for planned in plan {
        match &planned.reason {
            Reason::New => {}
            Reason::NotebookChanged { .. } => notebook += 1,
            Reason::DataChanged { data: paths, .. } => {
                *data.entry(paths.join(", ")).or_default() += 1;
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
                    *stale.entry(changed.join(", ")).or_default() += 1;
                }
            }
            Reason::NotRequested => unasked += 1,
        }
    }
    let mut said = Vec::new();
    let mut say = |count: usize, what: String| {
        if count > 0 {
            said.push(format!("{count} {what}"));
        }
    };
    say(done, "already done, skipped".to_owned());
    for (parts, count) in stale {
        say(
            count,
            format!("of these with another {parts}: --rerun-changed runs them again"),
        );
    }
    for (parts, count) in rerun {
        say(count, format!("done with another {parts}, run again"));
    }
    say(failed, "failed before, run again".to_owned());
    say(unfinished, "did not finish, run again".to_owned());
    say(
        notebook,
        "new because the notebook changed since it was submitted".to_owned(),
    );
    for (paths, count) in data {
        say(count, format!("new because {paths} changed"));
    }
    say(requested, "asked for by name, run again".to_owned());
    say(
        revived,
        "cancelled before and asked for by name, run again".to_owned(),
    );
    say(cancelled, "cancelled, skipped".to_owned());
    say(unasked, "not asked for".to_owned());
    said
}
