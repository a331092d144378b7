//! Finds rustc, linker, prelude and libtorch, and the compiler flags that combine them.
//!
//! Cells and programs are compiled by the compiler that built this workspace and link one prebuilt
//! dynamic library, the prelude `liboffmodel.so`, which holds polars, tch, tokenizers, plotters and
//! all of offmodel. [`Toolchain::locate`] finds the parts; [`Toolchain::rustc_command`] is a
//! compiler call with the flags in place.
//!
//! | module | purpose |
//! |---|---|
//! | `locate` | [`Toolchain`]: the parts and the flags |
//! | `sysroot` | the compiler's libraries without the dynamic standard library |
//! | `interface` | a stand-in for the prelude with which cells link fast |
//! | [`wrapper`] | adds the flags to the compiler calls of evcxr |
//! | [`extra_crates`] | builds crates added by `:dep` |
//! | [`openmp`] | how threads of libtorch wait for each other |

pub mod extra_crates;
mod interface;
mod locate;
pub mod openmp;
mod sysroot;
pub mod wrapper;

pub use locate::{Toolchain, ToolchainError};
