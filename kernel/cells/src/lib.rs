//! The meaning of a cell's text, for the live session and for compiled programs alike.
//!
//! A cell is a sequence of Rust statements and items, possibly with command lines (`:vars`); its
//! last expression, if it has no semicolon, is displayed. Session and program read cells through
//! this one crate, so that a notebook means the same in both.
//!
//! | module | purpose |
//! |---|---|
//! | `cell`, `commands` | [`parse`]: commands, items, statements, variables and the displayed expression |
//! | [`generated`] | generated code around a cell's statements, with a map back to the cell's lines |
//! | [`rendering`] | rustc's messages in lines and columns of cells |
//! | [`parameters`] | the variables of the cell tagged `parameters` |
//! | `completeness` | [`completeness()`]: whether a front end should ask for another line |
//! | `members`, `names` | [`members_of`], [`mentioned_names`]: lookups for completion and inspection |
//! | [`lexer`] | tokens of text that is not Rust yet |
//! | `position` | byte offsets to lines and columns and back |

mod cell;
mod commands;
mod completeness;
pub mod generated;
pub mod lexer;
mod members;
mod names;
pub mod parameters;
mod position;
pub mod rendering;

pub use cell::{Binding, Cell, Item, ItemKind, ParseError, Statement, parse};
pub use commands::{Command, without_commands};
pub use completeness::completeness;
pub use members::{ItemMember, MemberKind, members_of};
pub use names::mentioned_names;
pub use position::{byte_offset, line_and_column};
