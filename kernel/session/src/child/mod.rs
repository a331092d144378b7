//! The child process that runs cells.
//!
//! evcxr compiles a cell, loads it into the child as a library and calls it, but reports only whether
//! this worked. Everything that the cell shows arrives as [`Event`](offmodel_events::Event)s over a
//! pipe of our own.
//!
//! - `evcxr_thread`: evcxr on a thread of its own;
//! - `pipes`: the pipes for events and input replies;
//! - `message`: what both threads send to the session;
//! - `process`: [`ChildProcess`], which evaluates code and gathers the messages about it;
//! - `exit_cause`: why the child process ended, in words for the user;
//! - `interrupter`: [`Interrupter`], which stops the running cell from another thread;
//! - `listener`: [`Listener`], which receives events and provides input.

mod evcxr_thread;
mod exit_cause;
mod interrupter;
mod listener;
mod message;
mod pipes;
mod process;

pub use interrupter::Interrupter;
pub use listener::Listener;
pub(crate) use process::{ChildProcess, EvaluationEnd};
