//! Set-up: everything a fresh machine needs before the workspace can be built and run.
//!
//! [`setup::run`] walks the steps in order, each of which does nothing where its result already
//! stands: [`libtorch`] finds or fetches libtorch, [`shim`] compiles tch's C shim once as a shared
//! library, [`link`] tells Cargo where both are, [`model`] fetches the default model, and
//! [`kernelspec`] makes the kernel known to Jupyter. [`demo`] and [`verify`] are the two commands
//! of the README: set-up, then the main job, or set-up, then every check.
//!
//! Whatever is fetched goes through [`pip`] (the user's own package settings apply), is checked
//! against a pinned SHA-256, is unpacked by [`wheel`] into a temporary folder of the [`cache`] and
//! renamed into place: an interrupted set-up leaves nothing half done. Each [`SetupError`] is one
//! sentence that says what to do.
//!
//! This crate runs before libtorch exists, so it must not depend on the crates that link it.

pub mod cache;
pub mod demo;
mod error;
#[cfg(test)]
mod fake;
pub mod file;
pub mod kernelspec;
pub mod libtorch;
pub mod link;
pub mod model;
pub mod pip;
pub mod setup;
pub mod shim;
pub mod verify;
pub mod wheel;
pub mod workspace;

pub use error::SetupError;
