//! One attempt, from its folder to its published result.
//!
//! An [`Executor`] makes attempts: [`LocalAttempts`] on this machine, [`slurm`] on a cluster.
//! [`LocalExecutor`] runs programs on this machine; [`attempt`] is the life of one attempt as a
//! state machine of its own, in one of the [`Slots`] that share the machine out; [`single`] runs
//! one program without a sweep around it.

mod attempt;
mod interface;
mod limits;
mod local;
mod outcome;
pub mod single;
mod slots;
pub mod slurm;

pub use attempt::{Context, LocalAttempts, Outcome, Step, Work, attempt, record_cancelled};
pub use interface::{Executor, Halt, Steps};
pub use local::{ExecutorError, LocalExecutor};
pub use outcome::{Executed, executed};
pub use slots::{Cores, Layout, Place, Slot, Slots, own_cores, own_gpus};
