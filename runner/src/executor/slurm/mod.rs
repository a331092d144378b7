//! Attempts on a Slurm cluster.
//!
//! A sweep's attempts are the tasks of job arrays. Each task runs `offmodel attempt` on its node
//! ([`node`]), which makes the attempt as the local executor would and publishes its
//! `result.json`; that file decides, and Slurm's word counts only where there is none. So a sweep
//! needs no accounting, survives a controller that is away for hours, and a runner that was
//! killed finds its jobs again by the records that it keeps ([`record`]).
//!
//! - [`answers`]: what Slurm's commands print;
//! - [`commands`]: what it is asked for and told to do;
//! - [`call`]: its commands as processes, and their complaints;
//! - [`script`]: the batch script;
//! - [`record`]: what was handed over, on disk;
//! - [`submission`]: from attempts to a job array;
//! - [`jobs`]: what an earlier runner left in Slurm, and ending it;
//! - [`glance`]: how its jobs are, for whoever looks at a sweep without being its runner;
//! - [`verdict`]: what became of a task;
//! - [`rhythm`]: how often to look;
//! - [`keeper`]: the executor;
//! - [`publication`]: results of tasks;
//! - [`node`]: one attempt, on its node.
//!
//! The folder of sweeps, the notebook's folder, offmodel's own build and libtorch must lie where
//! the nodes see them under the same paths. A node needs no Rust toolchain.

mod answers;
mod call;
mod commands;
mod glance;
mod jobs;
mod keeper;
pub mod node;
mod publication;
mod record;
mod rhythm;
mod script;
mod submission;
mod verdict;

pub use answers::JobState;
pub use commands::{SlurmError, reach};
pub use glance::glance;
pub use jobs::{LiveJobs, LiveTask, cancel_jobs, cancel_trials, ensure_none, has_jobs};
pub use keeper::SlurmExecutor;
pub use submission::{SlurmSweep, WhenStopped};
