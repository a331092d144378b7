//! The command line: arguments in, a printed value and an exit code out.
//!
//! Each command is a module. It parses its arguments into a call of the rooms below (`sweep`,
//! `store`, `schedule`, `compare`, `report`), computes one value, and prints it through
//! [`output`].

mod arguments;
mod attempt;
mod build;
mod cancel;
mod cancel_trials;
mod clean;
mod compare;
mod grade;
mod kernel;
mod logs;
mod output;
mod plan;
mod report;
mod retry;
mod run;
mod schedule;
mod status;
mod sweep;
mod sweep_result;

use arguments::check_sweep_arguments;
pub use arguments::{
    Arguments, AttemptArguments, BuildArguments, CancelArguments, CleanArguments, CompareArguments,
    GradeArguments, KernelCommand, LogsArguments, ReportArguments, RetryArguments, RunArguments,
    SharedArguments, StatusArguments, SweepArguments, run,
};
pub use grade::{GradedBenchmark, GradingRule};
pub use schedule::ScheduleCommand;
