//! The ground floor of offmodel: what every other crate needs of the operating system.
//!
//! | module | purpose |
//! |---|---|
//! | [`atomic_file`], [`atomic_folder`] | files and folders that readers see whole or not at all |
//! | [`digest`] | SHA-256 in lowercase hexadecimal |
//! | [`process`] | identifies a process across reboots, containers and reused numbers |
//! | [`environment`] | the names of all environment variables that offmodel reads |
//! | `log` (feature `log`) | the log on standard error, off unless `OFFMODEL_LOG` is set |
//! | [`suggestion`] | "did you mean ...?" |
//! | [`testing`] | tests that cannot run on this machine |
//!
//! This crate depends on no other offmodel crate.

pub mod atomic_file;
pub mod atomic_folder;
pub mod digest;
pub mod environment;
#[cfg(feature = "log")]
pub mod log;
pub mod process;
pub mod suggestion;
pub mod testing;
