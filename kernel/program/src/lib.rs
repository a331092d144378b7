//! A notebook as one native program.
//!
//! - [`Notebook`]: what a `.ipynb` file holds, read once, with its code cells numbered;
//! - [`compile`]: its code cells as one Rust program ([`generate`]), compiled against the prelude
//!   and kept in a cache by content; errors are told in the cells' own lines;
//! - [`build`]: a folder with the program and all its libraries, for machines without Rust.
//!
//! `offmodel_events::batch` is the protocol between a runner and the running program.
//!
//! The program reads its parameters at run time, so that one compilation serves every trial of
//! a sweep.

mod cache;
mod compile;
mod diagnostics;
mod elf;
mod generate;
mod notebook;
mod portable;
mod refusal;
mod source;
mod versions;

pub use cache::Cache;
pub use compile::{CompileError, Identity, Program, compile, identify};
pub use diagnostics::CellDiagnostic;
pub use generate::{GenerateError, generate};
pub use notebook::{CodeCell, INJECTED_TAG, Notebook, NotebookError, PARAMETERS_TAG, RAISES_TAG};
pub use portable::{BUILD_VERSION, Build, BuildError, build, built_program};
pub use source::{Insertion, Segment, Source};
pub use versions::Versions;
