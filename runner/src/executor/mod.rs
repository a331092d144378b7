//! One attempt, from its folder to its published result.
//!
//! [`LocalExecutor`] runs programs on this machine; [`attempt`] is the life of one attempt as a
//! state machine of its own; [`single`] runs one program without a sweep around it.

mod attempt;
mod limits;
mod local;
mod outcome;
pub mod single;

pub use attempt::{Context, Outcome, Step, Work, attempt};
pub use local::{ExecutorError, LocalExecutor};
pub use outcome::{Executed, executed};
