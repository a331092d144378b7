//! Crates that a notebook asks for with `:dep`, beyond those in the prelude.
//!
//! - [`request`]: what a `:dep` line asks for;
//! - [`prelude_crates`]: what the prelude has already, which is used as it is;
//! - [`manifest`]: the Cargo package that stands for all lines of a notebook;
//! - [`cargo`]: Cargo as a process that reports what it does and can be stopped;
//! - [`entry`]: the built crates as cells and programs find them, kept by content;
//! - [`build`]: from lines to an entry;
//! - [`shared`]: an entry's crates as one library, which the cells of a session share.
//!
//! The prelude is not built again: a cell or program is compiled with one more `--extern` for
//! every crate.

mod build;
mod cargo;
mod entry;
mod manifest;
mod prelude_crates;
mod request;
mod shared;

pub use build::ExtraCratesError;
pub use cargo::CancellationToken;
pub use entry::ExtraCrates;
pub use prelude_crates::version_in_prelude;
pub use request::{CrateRequest, CrateRequestError};
pub use shared::SHARED_CRATE;
