//! Builds the crates that a notebook adds with `:dep`, beyond those in the prelude.
//!
//! The prelude is not rebuilt: a cell or program is compiled with one more `--extern` per crate.
//!
//! | module | purpose |
//! |---|---|
//! | [`request`] | parses a `:dep` line |
//! | [`prelude_crates`] | the crates that the prelude offers already |
//! | [`manifest`] | the Cargo package that depends on all crates of a notebook |
//! | [`cargo`] | runs Cargo, reports its progress, can be cancelled |
//! | [`build`] | from `:dep` lines to a cache entry |
//! | [`entry`] | a cache entry: built crates, identified by their content |
//! | [`shared`] | an entry's crates as one library, which all cells of a session share |

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
