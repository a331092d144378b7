//! The reference of the prelude: signature, members and documentation of every name that a cell can
//! use.
//!
//! The metadata of a Rust crate contains its documentation, so rustdoc can write pages for the
//! prelude, the standard library and the primitive types from built files alone, without sources
//! and without a language server. The reference is extracted from these pages, once for each build
//! of the prelude.
//!
//! - `write`: runs rustdoc and writes the reference beside the prelude;
//! - `page`: reads a page of rustdoc;
//! - `markdown`: documentation as Markdown;
//! - `lookup`: finds pages by path and by type.

mod lookup;
mod markdown;
mod page;
mod write;

pub(crate) use lookup::Reference;
pub(crate) use page::{Member, Page};
pub use write::{ReferenceError, write_reference};
