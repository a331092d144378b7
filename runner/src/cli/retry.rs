use offmodel_program::Notebook;

use super::announcement::{announce, tell_plan};
use super::order::Order;
use super::plan::{Planned, PlannedAttempt, plan_retry};
use super::selection::Selection;
use super::sweep::slot_plan;
use super::{RetryArguments, status};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::store::{SweepFolder, changed_since};
use crate::sweep::{SweepSpec, Trials};

/// Runs trials of a sweep again, as it was submitted: those that failed, or those named.
pub(super) fn retry(arguments: &RetryArguments) -> Result<ExitCode, RunnerError> {
    let view = SweepFolder::view(&arguments.folder)?;
    let submission = view.submission().ok_or_else(|| RunnerError::NoSubmission {
        folder: view.path().to_owned(),
    })?;
    let trials = Trials {
        list: status::submitted_trials(&view)?,
        merged: 0,
        excluded: 0,
    };
    let chosen = Selection::new(
        &view,
        &trials.list,
        &arguments.trials,
        &arguments.parameters,
    )?;
    let mut spec = SweepSpec::read(&view.sweep_file())?;
    let mut notebook = Notebook::read(&view.notebook_file())?;
    // Its cells work where it came from.
    notebook.path.clone_from(&submission.notebook);
    let changed = changed_since(notebook.folder(), &submission.data);
    if !changed.is_empty() {
        return Err(RunnerError::DataChanged {
            data: changed.join(", "),
            sweep_file: submission.sweep_file.clone(),
        });
    }
    let slots = slot_plan(&spec, &arguments.shared, trials.list.len())?;
    spec.file = submission.sweep_file;
    if arguments.dry_run {
        let plan = plan_retry(&view, &trials.list, &chosen);
        let json = arguments.shared.json.then_some("retry");
        return tell_plan(&view, &trials, &plan, &slots, json);
    }
    let folder = SweepFolder::open(&arguments.folder, slots.allocations.len())?;
    let plan = plan_retry(&folder, &trials.list, &chosen);
    announce(&folder, &trials, &plan, &slots);
    let planned: Vec<PlannedAttempt> = plan.iter().filter_map(Planned::next_attempt).collect();
    for PlannedAttempt { trial, .. } in &planned {
        // They are to run after all.
        folder.settle_cancel_request(&trial.id);
    }
    drop(plan);
    let parameters = notebook.parameters()?;
    let order = Order {
        spec,
        notebook,
        parameters,
        trials,
        data: submission.data,
        slots,
        slurm: arguments.shared.slurm(),
        json: arguments.shared.json.then_some("retry"),
    };
    order.carry_out(folder, planned)
}
