//! What the commands do, step by step.

mod announcement;
mod arguments;
mod attempt;
mod build;
mod cancel;
mod cancel_trials;
mod clean;
mod compare;
mod json;
mod kernel;
mod logs;
mod order;
mod outcome;
mod plan;
mod report;
mod retry;
mod run;
mod schedule;
mod selection;
mod status;
mod sweep;

use arguments::check_sweep_arguments;
pub use arguments::{
    Arguments, AttemptArguments, BuildArguments, CancelArguments, CleanArguments, CompareArguments,
    KernelCommand, LogsArguments, ReportArguments, RetryArguments, RunArguments, SharedArguments,
    StatusArguments, SweepArguments, run,
};
pub use schedule::ScheduleCommand;
pub(crate) use status::submitted_trials;
