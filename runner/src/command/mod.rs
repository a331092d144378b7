//! What the commands do, step by step.

mod arguments;
mod attempt;
mod cancel;
mod kernel;
mod logs;
mod report;
mod run;
mod status;
mod sweep;

pub use arguments::{
    Arguments, AttemptArguments, CancelArguments, KernelCommand, LogsArguments, ReportArguments,
    RunArguments, StatusArguments, SweepArguments, run,
};
