//! Compiles a notebook to one native program.
//!
//! | module | purpose |
//! |---|---|
//! | `notebook` | [`Notebook`]: a `.ipynb` file with its code cells numbered |
//! | `generate` | the Rust program that runs the cells in order |
//! | `compile` | [`compile()`]: from a notebook to an executable, through the cache |
//! | `rustc` | calls of the compiler for a generated program |
//! | `diagnostics` | the compiler's errors in lines of cells |
//! | `excluded_cells`, `shown_error` | cells that may fail and do not compile |
//! | `errors` | [`CompileError`]: why a notebook did not become a program |
//! | `extra_crates` | crates that the notebook asks for with `:dep` |
//! | `cache` | [`Cache`]: executables by content |
//! | `versions` | [`Versions`]: the inputs of a program, comparable years later |
//! | `portable` | [`build`]: a folder that runs the notebook on a machine without Rust |
//!
//! The program reads its parameters at run time, so that one compilation serves every trial of a
//! sweep. `offmodel_events::batch` is the protocol between the runner and the running program.

mod cache;
mod compile;
mod diagnostics;
mod errors;
mod excluded_cells;
mod extra_crates;
mod generate;
mod notebook;
mod portable;
mod rustc;
mod shown_error;
mod versions;

pub use cache::Cache;
pub use compile::{Identity, Program, compile, identify};
pub use diagnostics::CellDiagnostic;
pub use errors::CompileError;
pub use generate::GenerateError;
pub use notebook::{CodeCell, INJECTED_TAG, Notebook, NotebookError, PARAMETERS_TAG, RAISES_TAG};
pub use portable::{BUILD_VERSION, Build, BuildError, build, built_program};
pub use versions::Versions;
