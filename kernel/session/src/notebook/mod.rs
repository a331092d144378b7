//! What the session knows about the notebook without asking the child process.
//!
//! - `definitions`: functions, types and other items, as source text;
//! - `variables`: names and types of variables, the columns of frames, and why variables were
//!   dropped;
//! - `state`: both together, as one value that a cell replaces when it has run.
//!
//! The values themselves are in the child process, in the store of `kernel/lab/src/live/variables.rs`.

mod definitions;
mod state;
mod variables;

pub(crate) use definitions::Definition;
pub(crate) use state::NotebookState;
pub(crate) use variables::{NotebookVariables, Variable};
