//! `offmodel sweep`.

use offmodel_program::Notebook;

use super::output::{Format, print};
use super::plan::PlanOutput;
use super::sweep_result::print_result;
use super::{SharedArguments, SweepArguments};
use crate::error::RunnerError;
use crate::executor::{Allocation, SlotPlan, own_cores, own_gpus};
use crate::exit_code::ExitCode;
use crate::store::{DataHasher, SweepFolder};
use crate::sweep::plan::{PlannedAttempt, PlannedTrial, plan};
use crate::sweep::{SweepRun, SweepSpec, expand_trials};

/// The name of this command in JSON.
const COMMAND: &str = "sweep";

/// Runs a notebook for every trial of a sweep file that is not done.
pub(super) fn sweep(arguments: &SweepArguments) -> Result<ExitCode, RunnerError> {
    let today = || chrono::Local::now().date_naive();
    let spec = SweepSpec::read(&arguments.spec)?.with_date(arguments.date.unwrap_or_else(today));
    let notebook = Notebook::read(&spec.notebook)?;
    let parameters = notebook.parameters()?;
    let path = arguments.runs.join(&spec.name);
    let unlocked = SweepFolder::at(&path);
    let previous = unlocked.submission().map(|submission| submission.data);
    let mut data = DataHasher::new(notebook.folder(), previous.unwrap_or_default());
    let trials = expand_trials(&spec, &parameters, &notebook.code_hash(), &mut |path| {
        data.hash(path)
    })?;
    let slots = slot_plan(&spec, &arguments.shared, trials.list.len())?;
    let format = Format::from_flag(arguments.shared.json);
    if arguments.dry_run {
        let plan = plan(&unlocked, &trials.list, &notebook, arguments.rerun_changed);
        print(
            &PlanOutput::new(COMMAND, &unlocked, &trials, &plan, &slots),
            format,
        )?;
        return Ok(ExitCode::Success);
    }
    let folder = SweepFolder::open_locked(&path, slots.allocations.len())?;
    // Planned again under the lock: another runner may just have finished.
    let plan = plan(&folder, &trials.list, &notebook, arguments.rerun_changed);
    PlanOutput::new(COMMAND, &folder, &trials, &plan, &slots).announce();
    let planned: Vec<PlannedAttempt> = plan.iter().filter_map(PlannedTrial::next_attempt).collect();
    drop(plan);
    let run = SweepRun {
        spec,
        notebook,
        parameters,
        trials,
        data: data.into_contents(),
        slots,
        slurm: arguments.shared.slurm(),
    };
    print_result(COMMAND, &run.run(folder, planned)?, format)
}

/// How this machine is divided among attempts. On Slurm, only the number of attempts matters.
pub(super) fn slot_plan(
    spec: &SweepSpec,
    arguments: &SharedArguments,
    trials: usize,
) -> Result<SlotPlan, RunnerError> {
    if arguments.slurm {
        let parallel = spec.policy.slurm.throttle.unwrap_or(trials);
        return Ok(SlotPlan {
            allocations: vec![Allocation::default(); parallel],
            threads: 1,
        });
    }
    SlotPlan::new(
        usize::from(arguments.workers),
        &spec.policy.resources,
        &own_cores(),
        &own_gpus(arguments.gpus.as_deref()),
    )
}
