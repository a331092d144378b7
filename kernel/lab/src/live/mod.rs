//! The runtime of a live session, called by the code that the session generates around a cell.
//!
//! The session generates, around the text of a cell, calls of [`take`] for the notebook variables
//! that the cell mentions, [`run`] around its statements, [`show!`](crate::live::show) around its
//! last expression, and [`put`] for its outgoing variables. Everything here runs in the session's
//! child process, on its main thread.

#[doc(hidden)]
pub mod closure;
mod raised;
mod run;
mod variables;

pub use crate::show_value as show;
pub use raised::Raised;
pub use run::{CellOutcome, block_on, initialize, run};
pub use variables::{forget, put, take, variables};
