//! What the commands do, step by step.

mod arguments;
mod build;
mod compare;
mod kernel;
mod logs;
mod report;
mod run;
mod schedule;
mod status;
mod sweep;

pub use arguments::{
    Arguments, BuildArguments, CompareArguments, KernelCommand, LogsArguments, ReportArguments, RunArguments, StatusArguments,
    SweepArguments, run,
};
use arguments::check_sweep_arguments;
pub(crate) use status::submitted_trials;
pub use schedule::ScheduleCommand;
