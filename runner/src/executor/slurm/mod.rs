//! Attempts on a Slurm cluster.
//!
//! The attempts of a sweep are tasks of job arrays. Each task runs `offmodel attempt` on its node,
//! which makes the attempt as the local executor would and publishes its `result.json`. The
//! folder's README explains how the state of Slurm and these files are reconciled.
//!
//! | module | purpose |
//! |---|---|
//! | [`actor`] | the executor: submits arrays, polls, cancels |
//! | [`poll_interval`] | how often Slurm is polled |
//! | [`reconcile`] | what became of a task, decided from Slurm's word and the attempt's result |
//! | [`submission`], [`script`] | the files of a job array and its batch script |
//! | [`record`] | the record of a job array on disk |
//! | [`publish`] | results of tasks: found, or written for a task that left none |
//! | [`node`] | one attempt on its node |
//! | [`jobs`] | the jobs of a sweep without its runner: list them, cancel them |
//! | [`commands`], [`invoke`], [`parse`] | `sbatch`, `squeue`, `sacct`, `scancel`, `scontrol`: arguments, processes, output |
//!
//! The folder of sweeps, the notebook's folder, offmodel's own build and libtorch must lie where
//! the nodes see them under the same paths. A node needs no Rust toolchain.

mod actor;
mod commands;
mod invoke;
mod jobs;
pub mod node;
mod parse;
mod poll_interval;
mod publish;
mod reconcile;
mod record;
mod script;
mod submission;

pub use actor::SlurmExecutor;
pub use commands::{SlurmError, check_reachable};
pub use jobs::{
    LiveJobs, LiveTask, cancel_jobs, cancel_trials, ensure_no_jobs, may_have_jobs, query_live_jobs,
};
pub use parse::JobState;
pub use submission::{SlurmSweep, WhenStopped};
