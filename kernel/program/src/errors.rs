//! Why a notebook did not become a program.

use std::io;
use std::path::{Path, PathBuf};

use offmodel_toolchain::extra_crates::ExtraCratesError;

use crate::diagnostics::CellDiagnostic;
use crate::generate::GenerateError;

/// Why a notebook did not become a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Cells do not compile.
    #[error("{}", errors_in_cells(notebook, errors))]
    Cells {
        /// The notebook.
        notebook: PathBuf,
        /// The compiler's errors, at least one, in the order of cells.
        errors: Vec<CellDiagnostic>,
    },
    /// A cell cannot be part of a program.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// A crate that a `:dep` line asks for cannot be built.
    #[error("{}, cell {cell}, line {line}: {reason}", notebook.display())]
    ExtraCrates {
        /// The notebook.
        notebook: PathBuf,
        /// The cell's number.
        cell: usize,
        /// Line in the cell, from 1.
        line: usize,
        /// Cargo's error.
        reason: ExtraCratesError,
    },
    /// The compiler failed, and its first error is not in a cell.
    #[error("failed to compile {}: {output}", notebook.display())]
    Compiler {
        /// The notebook.
        notebook: PathBuf,
        /// The compiler's exit status and messages.
        output: String,
    },
    /// The compiler could not be started.
    #[error("failed to start {}: {source}", compiler.display())]
    Start {
        /// The compiler.
        compiler: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The cache cannot be written.
    #[error("failed to write the compiled program into {}: {source}", folder.display())]
    Cache {
        /// The folder of the cache.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The prelude or the compiler cannot be read.
    #[error("failed to read the prelude or the compiler: {0}")]
    Toolchain(#[source] io::Error),
}

fn errors_in_cells(notebook: &Path, errors: &[CellDiagnostic]) -> String {
    let mut text = String::new();
    if let Some(first) = errors.first() {
        text = format!(
            "{}, cell {}, line {} does not compile: {}",
            notebook.display(),
            first.cell,
            first.line,
            first.message
        );
    }
    for error in errors {
        text.push_str("\n\n");
        text.push_str(&error.rendered);
    }
    text
}
