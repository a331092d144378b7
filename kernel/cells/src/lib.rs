//! What the text of a cell means.
//!
//! A cell is a run of Rust statements and items, optionally preceded by commands (`:vars`), and
//! its last expression, if it has no semicolon, is displayed. The live kernel and the batch
//! program read cells through this one crate, so that a notebook means the same in both.
//!
//! - [`parse`]: a cell's commands, items, statements, bindings and displayed expression, as byte
//!   ranges of its text, so that nothing the user wrote is ever printed anew;
//! - [`completeness`]: whether a text is a whole cell, for line-by-line front ends;
//! - [`members_of`]: fields, variants and functions that an item gives to a type;
//! - [`parameters`]: the cell tagged `parameters`;
//! - [`rendering`]: the compiler's messages, told in lines of cells.

mod cell;
mod completeness;
mod members;
mod names;
pub mod parameters;
mod position;
pub mod rendering;

pub use cell::{
    Binding, Cell, Command, Item, ItemKind, ParseError, Statement, parse, without_commands,
};
pub use completeness::completeness;
pub use members::{ItemMember, MemberKind, members_of};
pub use names::mentioned_names;
pub use position::{byte_offset, line_and_column};
