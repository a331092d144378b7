//! The runtime of a live session: what the code around a cell calls.
//!
//! The session generates, around the text of a cell, calls of [`take`] for the variables that
//! the cell mentions, [`run`] around its statements, [`show!`](crate::live::show) around its
//! last expression and [`put`] for the variables that it leaves. Everything here runs in the
//! child process, on its main thread.

#[doc(hidden)]
pub mod closure;
mod raised;
mod run;
mod store;

pub use crate::show_value as show;
pub use raised::Raised;
pub use run::{Outcome, block_on, initialize, run};
pub use store::{forget, put, take, variables};
