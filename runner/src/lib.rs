//! The runner: notebooks executed as native programs, once or as sweeps.
//!
//! - [`cli`]: what `offmodel run | sweep | status | logs | retry | cancel | clean | report`
//!   do, step by step;
//! - [`sweep`]: the sweep file and the trials that it asks for;
//! - [`store`]: the truth on disk: sweep, trial and attempt folders;
//! - [`engine`]: which attempt runs when, and how a sweep ends;
//! - [`executor`]: attempts on this machine and on Slurm, each from its folder to its result;
//! - [`notebook_output`]: events as the outputs of an executed notebook;
//! - [`schedule`]: sweeps at appointed times;
//! - [`compare`]: what changed from one sweep to another;
//! - [`report`]: executed notebooks and results as one HTML page;
//! - [`exit_code`]: what the process's exit code says.

pub mod assignment;
pub mod attempt_events;
pub mod cli;
pub mod compare;
pub mod compilation;
pub mod engine;
pub mod error;
pub mod estimate;
pub mod executor;
pub mod exit_code;
pub mod notebook_output;
pub mod progress;
pub mod report;
mod runtime;
pub mod schedule;
pub mod store;
pub mod sweep;
mod terminal;
