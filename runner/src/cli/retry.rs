//! `offmodel retry`.

use offmodel_program::Notebook;

use super::RetryArguments;
use super::output::{Format, print};
use super::plan::PlanOutput;
use super::sweep::slot_plan;
use super::sweep_result::print_result;
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::store::{SweepFolder, changed_since};
use crate::sweep::plan::{PlannedAttempt, PlannedTrial, plan_retry};
use crate::sweep::{Selection, SweepRun, SweepSpec, Trials, submitted_trials};

/// The name of this command in JSON.
const COMMAND: &str = "retry";

/// Runs trials of a sweep again, with sweep file and notebook as submitted.
pub(super) fn retry(arguments: &RetryArguments) -> Result<ExitCode, RunnerError> {
    let unlocked = SweepFolder::open_read_only(&arguments.folder)?;
    let submission = unlocked
        .submission()
        .ok_or_else(|| RunnerError::NoSubmission {
            folder: unlocked.path().to_owned(),
        })?;
    let trials = Trials {
        list: submitted_trials(&unlocked)?,
        merged: 0,
        excluded: 0,
    };
    let selection = Selection::new(
        &unlocked,
        &trials.list,
        &arguments.trials,
        &arguments.parameters,
    )?;
    let mut spec = SweepSpec::read(&unlocked.sweep_file())?;
    let mut notebook = Notebook::read(&unlocked.notebook_file())?;
    // Cells run in the folder of the original notebook.
    notebook.path.clone_from(&submission.notebook);
    let changed = changed_since(notebook.folder(), &submission.data);
    if !changed.is_empty() {
        return Err(RunnerError::DataChanged {
            data: changed.join(", "),
            sweep_file: submission.sweep_file.clone(),
        });
    }
    let slots = slot_plan(&spec, &arguments.shared, trials.list.len())?;
    let format = Format::from_flag(arguments.shared.json);
    spec.file = submission.sweep_file;
    if arguments.dry_run {
        let plan = plan_retry(&unlocked, &trials.list, &selection);
        print(
            &PlanOutput::new(COMMAND, &unlocked, &trials, &plan, &slots),
            format,
        )?;
        return Ok(ExitCode::Success);
    }
    let folder = SweepFolder::open_locked(&arguments.folder, slots.allocations.len())?;
    // Planned again under the lock: another runner may just have finished.
    let plan = plan_retry(&folder, &trials.list, &selection);
    PlanOutput::new(COMMAND, &folder, &trials, &plan, &slots).announce();
    let planned: Vec<PlannedAttempt> = plan.iter().filter_map(PlannedTrial::next_attempt).collect();
    drop(plan);
    for PlannedAttempt { trial, .. } in &planned {
        // A request from before must not cancel the new attempt.
        folder.clear_cancel_request(&trial.id);
    }
    let run = SweepRun {
        spec,
        parameters: notebook.parameters()?,
        notebook,
        trials,
        data: submission.data,
        slots,
        slurm: arguments.shared.slurm(),
    };
    print_result(COMMAND, &run.run(folder, planned)?, format)
}
