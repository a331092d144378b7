//! Makes attempts, each from its folder to its published result.
//!
//! - [`LocalExecutor`] runs attempts on this machine, [`slurm`] on a cluster; the dispatcher knows
//!   only the [`Executor`] trait.
//! - [`process`] supervises the process of an attempt: signals, grace period, limits of time and
//!   memory.
//! - [`run_once`] runs a program without a sweep around it, for `offmodel run`.
//! - [`collect_output`] reads what an attempt left in its folder.

use tokio::sync::mpsc::UnboundedSender;

use crate::error::RunnerError;
use crate::store::AttemptResult;
use crate::sweep::Trial;

mod blocking;
mod local;
mod output;
pub mod process;
mod publish;
mod run_once;
pub mod slurm;

use blocking::blocking;
pub use local::{
    Allocation, Cores, ExecutorError, ForkServer, LocalExecutor, LocalSweep, SlotPlan, Slots,
    own_cores, own_gpus,
};
pub use output::{AttemptOutput, collect_output};
pub use publish::record_cancelled;
pub use run_once::run_once;

/// Makes attempts, on this machine or on a cluster.
///
/// Every attempt that was submitted ends with exactly one [`ExecutorEvent::Finished`], also when
/// the executor is shut down.
pub trait Executor: Send + Sync {
    /// How many attempts run at once; `None` if the cluster decides.
    fn workers(&self) -> Option<usize>;

    /// Makes an attempt, now or as soon as there is room for it. Events carry `index`.
    fn submit(&self, index: usize, spec: AttemptSpec);

    /// Cancels a trial that was submitted or will be: a running attempt is interrupted, and killed
    /// if it does not end.
    fn cancel(&self, trial: &str);

    /// Ends attempts in order. A later call may go further than an earlier one.
    fn shut_down(&self, shutdown: Shutdown);
}

/// How far an executor shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Attempts that have not begun do not begin; the others run to their end.
    Withdraw,
    /// Nothing new begins, and running attempts are interrupted. Slurm jobs may instead be left to
    /// the next runner.
    Graceful,
    /// Running attempts are killed; Slurm jobs are no longer waited for.
    Forced,
}

/// Where executors send their events.
pub type EventSender = UnboundedSender<ExecutorEvent>;

/// What an executor reports to the dispatcher.
#[derive(Debug)]
pub enum ExecutorEvent {
    /// An attempt is over.
    Finished {
        /// The index under which it was submitted.
        index: usize,
        /// What became of it. An error is one of the runner's own, such as a full disk.
        outcome: Result<AttemptOutcome, RunnerError>,
    },
    /// A line for the user that belongs to no single attempt.
    Notice(String),
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptOutcome {
    /// Its result is published.
    Published(Box<AttemptResult>),
    /// It was stopped and has no result; the next run of the sweep makes another attempt.
    Interrupted,
}

/// An attempt to make.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptSpec {
    /// The trial.
    pub trial: Trial,
    /// The attempt's number, from 1.
    pub attempt: usize,
    /// The cache key of the compiled notebook.
    pub program: String,
}
