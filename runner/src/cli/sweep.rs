use offmodel_program::Notebook;

use super::announcement::{announce, tell_plan};
use super::order::Order;
use super::plan::{Planned, PlannedAttempt, plan};
use super::{SharedArguments, SweepArguments};
use crate::error::RunnerError;
use crate::executor::{Allocation, SlotPlan, own_cores, own_gpus};
use crate::exit_code::ExitCode;
use crate::store::{DataSet, SweepFolder};
use crate::sweep::{SweepSpec, trials};

/// Executes a notebook for every trial that is not done.
pub(super) fn sweep(arguments: &SweepArguments) -> Result<ExitCode, RunnerError> {
    let today = || chrono::Local::now().date_naive();
    let spec = SweepSpec::read(&arguments.spec)?.dated(arguments.date.unwrap_or_else(today));
    let notebook = Notebook::read(&spec.notebook)?;
    let parameters = notebook.parameters()?;
    let path = arguments.runs.join(&spec.name);
    let view = SweepFolder::unlocked(&path);
    let former = view.submission().map(|submission| submission.data);
    let mut data = DataSet::new(notebook.folder(), former.unwrap_or_default());
    let trials = trials(&spec, &parameters, &notebook.code_hash(), &mut |path| {
        data.hash(path)
    })?;
    let slots = slot_plan(&spec, &arguments.shared, trials.list.len())?;
    if arguments.dry_run {
        let plan = plan(&view, &trials.list, &notebook, arguments.rerun_changed);
        let json = arguments.shared.json.then_some("sweep");
        return tell_plan(&view, &trials, &plan, &slots, json);
    }
    // Held until the results are gathered.
    let folder = SweepFolder::open(&path, slots.allocations.len())?;
    let plan = plan(&folder, &trials.list, &notebook, arguments.rerun_changed);
    announce(&folder, &trials, &plan, &slots);
    let planned: Vec<PlannedAttempt> = plan.iter().filter_map(Planned::next_attempt).collect();
    drop(plan);
    let order = Order {
        spec,
        notebook,
        parameters,
        trials,
        data: data.into_contents(),
        slots,
        slurm: arguments.shared.slurm(),
        json: arguments.shared.json.then_some("sweep"),
    };
    order.carry_out(folder, planned)
}

/// How this machine is shared out; of a cluster, only how many trials run there at once.
pub(super) fn slot_plan(
    spec: &SweepSpec,
    arguments: &SharedArguments,
    trials: usize,
) -> Result<SlotPlan, RunnerError> {
    if arguments.slurm {
        let at_once = spec.policy.slurm.throttle.unwrap_or(trials);
        return Ok(SlotPlan {
            allocations: vec![Allocation::default(); at_once],
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
