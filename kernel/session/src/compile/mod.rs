//! From a cell to code that evcxr can compile, and from rustc's errors back to the cell.
//!
//! - `live_cell`: the cell's statements between code that takes variables out of the store and
//!   puts them back;
//! - `probe`: one compiler call that finds the cell's errors and the types of its variables;
//! - `outgoing`: the variables that a cell hands on, less those that turn out to be impossible;
//! - `closure_box`, `type_names`: types that later cells can write down;
//! - `rustc`, `diagnostics`: calls of the compiler and its messages;
//! - `cell_error`, `panic_location`: errors in lines of cells.

mod cell_error;
mod closure_box;
mod diagnostics;
mod live_cell;
mod outgoing;
mod panic_location;
mod probe;
mod rustc;
mod type_names;

pub(crate) use cell_error::cell_error;
pub(crate) use live_cell::live_cell;
pub(crate) use outgoing::OutgoingVariables;
pub(crate) use panic_location::locate_panic;
pub(crate) use probe::{ProbedTypes, last_bindings, probe};
pub(crate) use rustc::{check, compile_to_metadata, type_in_message};
