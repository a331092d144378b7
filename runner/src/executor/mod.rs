//! One attempt, from its folder to its published result.
//!
//! [`LocalExecutor`] runs programs on this machine; [`attempt`] is the life of one attempt as a
//! state machine of its own, in one of the [`Slots`] that share the machine out; [`single`] runs one program without a sweep around it.

mod attempt;
mod limits;
mod local;
mod outcome;
pub mod single;
mod slots;

pub use attempt::{Context, Outcome, Step, Work, attempt};
pub use local::{ExecutorError, LocalExecutor};
pub use outcome::{Executed, executed};
pub use slots::{Cores, Layout, Place, Slot, Slots, own_cores, own_gpus};
