//! The live session: from the text of a cell to loaded, running code that keeps its state.
//!
//! A cell goes through these steps, one module each:
//!
//! 1. [`mod@notebook_state`]: what earlier cells left, items and the types of variables;
//! 2. [`probe`]: one short call of rustc finds all errors of the cell, and the types of the
//!    variables that it leaves;
//! 3. [`generate`]: the cell's statements between code that takes variables out of the store and
//!    puts them back;
//! 4. [`evaluator`]: evcxr compiles that against the prelude, loads it into the child process
//!    and runs it, while events arrive over a private pipe ([`child`]).
//!
//! Completion ([`mod@complete`]) and inspection ([`mod@inspect`]) read the text around the cursor
//! ([`cursor`]), ask the compiler for types ([`mod@expression_type`]) and know every name of the
//! prelude from its documentation ([`reference`]).
//!
//! [`Session`] is the whole of it.

mod child;
mod closures;
mod commands;
mod complete;
mod cursor;
mod death;
mod diagnostics;
mod environment;
mod evaluator;
mod expression_type;
mod failures;
mod further;
mod generate;
mod inspect;
mod leaves;
mod listener;
mod notebook_state;
mod panics;
mod probe;
mod reference;
mod session;
mod source;
mod type_names;

pub use child::Interrupter;
pub use environment::{child_process_hook, enter_session_environment};
pub use failures::SessionError;
pub use listener::Listener;
pub use offmodel_cells::completeness as is_complete;
pub use reference::{ReferenceError, write_reference};
pub use session::Session;
