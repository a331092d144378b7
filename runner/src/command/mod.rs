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

use arguments::check_sweep_arguments;
pub use arguments::{
    Arguments, BuildArguments, CompareArguments, KernelCommand, LogsArguments, ReportArguments,
    RunArguments, StatusArguments, SweepArguments, run,
};
pub use schedule::ScheduleCommand;
pub(crate) use status::submitted_trials;
