//! Where rustc, linker, prelude and libtorch are, and the flags that join them.
//!
//! Cells of the live kernel and batch programs are compiled by the same compiler as this
//! workspace and link dynamically to one prebuilt library, the prelude `liboffmodel.so`, which
//! holds polars, tch, tokenizers, plotters and all of offmodel. [`Toolchain::locate`] finds the
//! parts; [`Toolchain::rustc_command`] is a compiler call with the flags in place;
//! [`wrapper`] gives the same flags to the compiler calls of evcxr; [`extra_crates`] builds
//! what a notebook wants beyond the prelude; [`openmp`] is for whoever starts what was compiled.

pub mod extra_crates;
mod interface;
mod locate;
pub mod openmp;
mod sysroot;
pub mod wrapper;

pub use locate::{Toolchain, ToolchainError};
