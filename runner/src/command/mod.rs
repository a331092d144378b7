//! What the commands do, step by step.

mod arguments;
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
    Arguments, CancelArguments, CleanArguments, KernelCommand, LogsArguments, ReportArguments,
    RetryArguments, RunArguments, SharedArguments, StatusArguments, SweepArguments, run,
};
