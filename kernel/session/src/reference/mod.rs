//! What every name that a cell can use stands for: signatures, methods, documentation.
//!
//! The documentation of a Rust crate is in its metadata, with that of the crates that it
//! re-exports: rustdoc can write pages for the prelude, for the standard library and for the
//! primitive types from the built files alone. Those pages are the source, so that completion
//! and inspection know what the compiler knows, for this build, without a language server.
//!
//! - [`write`]: runs rustdoc once for a prelude and keeps what its pages say;
//! - [`page`]: what a page says;
//! - [`prose`]: documentation as text;
//! - [`lookup`]: pages by path and by type.

mod lookup;
mod page;
mod prose;
mod write;

pub(crate) use lookup::Reference;
pub(crate) use page::{Member, MemberKind, Page};
pub use write::{ReferenceError, write_reference};
