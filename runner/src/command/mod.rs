//! What the commands do, step by step.

mod arguments;
mod attempt;
mod cancel;
mod clean;
mod json;
mod kernel;
mod logs;
mod plan;
mod report;
mod retry;
mod run;
mod status;
mod sweep;

pub use arguments::{
    Arguments, AttemptArguments, CancelArguments, CleanArguments, KernelCommand, LogsArguments,
    ReportArguments, RetryArguments, RunArguments, SharedArguments, StatusArguments,
    SweepArguments, run,
};
