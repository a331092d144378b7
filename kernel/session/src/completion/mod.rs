//! Completion and inspection.
//!
//! - `cursor`: what the cursor is at, in text that need not be Rust yet;
//! - `context`: the names that are known, from the notebook and the prelude;
//! - `expression_type`: the compiler's answer for the expression before a dot;
//! - `complete`, `inspect`: the answers to the front end.

mod complete;
mod context;
mod cursor;
mod expression_type;
mod inspect;

pub(crate) use complete::complete;
pub(crate) use context::CompletionContext;
pub(crate) use inspect::inspect;
