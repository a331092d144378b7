//! Generated code around the statements of a cell.
//!
//! The live session puts a cell between code that takes earlier variables out of the store and
//! code that puts variables back; a compiled program puts it between calls that mark its begin and
//! end. Both build their code from the parts in this module, so that a cell displays its value,
//! fails and is located in the same way:
//!
//! - [`CellText`]: the cell's own text, with code inserted into it;
//! - [`GeneratedCode`]: lines of generated code and cells, each with its origin;
//! - [`SHOW_OPENING`], [`CELL_CLOSURE`] and others: the names of the prelude that both refer to.

mod cell_text;
mod code;
mod wrapper;

pub use cell_text::CellText;
pub use code::GeneratedCode;
pub use wrapper::{BIND_TAIL, CELL_CLOSURE, CELL_RESULT, OK_OF_CELL, SHOW_CLOSING, SHOW_OPENING};
