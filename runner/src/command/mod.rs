//! What the commands do, step by step.

mod arguments;
mod build;
mod kernel;
mod logs;
mod report;
mod run;
mod schedule;
mod status;
mod sweep;

pub use arguments::{
    Arguments, BuildArguments, KernelCommand, LogsArguments, ReportArguments, RunArguments, StatusArguments,
    SweepArguments, run,
};
use arguments::check_sweep_arguments;
pub use schedule::ScheduleCommand;
