//! The runner: executes notebooks as native programs, once or as sweeps.
//!
//! | module | purpose |
//! |---|---|
//! | [`cli`] | the commands of `offmodel` |
//! | [`sweep`] | the sweep file, and the trials that it asks for |
//! | [`assignment`] | values of parameters |
//! | [`compilation`] | compiles the notebook, or finds its program |
//! | [`engine`] | decides which attempt runs when, and how a sweep ends |
//! | [`executor`] | makes attempts, on this machine or through Slurm |
//! | [`store`] | sweeps, trials and attempts on disk |
//! | [`attempt_events`], [`notebook_output`] | the events of an attempt, and the executed notebook made from them |
//! | [`schedule`] | runs sweeps at set times |
//! | [`compare`] | compares two sweeps |
//! | [`report`] | shows executed notebooks and results as an HTML page |
//! | [`progress`], [`estimate`] | what the user sees while a sweep runs |
//! | [`error`], [`exit_code`] | errors, and the exit codes that they lead to |

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
pub mod schedule;
pub mod store;
mod suggestion;
pub mod sweep;
mod terminal;
