//! A notebook as a folder that runs on a machine without Rust.
//!
//! - `folder`: [`build`] and the layout of the folder;
//! - `libraries`: the shared libraries that a program needs, directly and indirectly;
//! - `elf`: reads and changes the search paths in a library.

mod elf;
mod folder;
mod libraries;

pub use folder::{BUILD_VERSION, Build, BuildError, build, built_program};
