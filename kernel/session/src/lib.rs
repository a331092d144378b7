//! The live session: from the text of a cell to loaded, running code that keeps its state.
//!
//! | module | purpose |
//! |---|---|
//! | `session` | [`Session`]: executes, completes and inspects cells |
//! | `notebook` | definitions and variables that cells have left |
//! | `compile` | generated code of a cell, probed types, compile errors in lines of the cell |
//! | `child` | evcxr and the child process, with its events, input and interrupts |
//! | `completion`, `reference` | names at the cursor; the documentation of the prelude |
//! | `commands`, `extra_crates` | `:vars`, `:time` and others; `:dep` |
//! | `environment` | the environment variables and the folder of a session |
//! | `errors` | [`SessionError`], and errors that do not come from a cell's code |
//!
//! Modules use only modules below them: `session` is at the top, `notebook`, `errors` and
//! `reference` at the bottom. `tests/module_order.rs` checks it. `README.md` describes the life of a
//! cell.

mod child;
mod commands;
mod compile;
mod completion;
mod environment;
mod errors;
mod extra_crates;
mod notebook;
mod reference;
mod session;

pub use child::{Interrupter, Listener};
pub use environment::{child_process_hook, enter_session_environment};
pub use errors::SessionError;
pub use offmodel_cells::completeness as is_complete;
pub use reference::{ReferenceError, write_reference};
pub use session::Session;
