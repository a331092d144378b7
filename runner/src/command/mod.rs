//! What the commands do, step by step.

mod arguments;
mod kernel;
mod report;
mod run;
mod status;
mod sweep;

pub use arguments::{
    Arguments, KernelCommand, ReportArguments, RunArguments, StatusArguments, SweepArguments, run,
};
