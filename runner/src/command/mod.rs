//! What the commands do, step by step.

mod arguments;
mod report;
mod run;
mod status;
mod sweep;

pub use arguments::{
    Arguments, ReportArguments, RunArguments, StatusArguments, SweepArguments, run,
};
