//! Calls of the compiler for the program of a notebook.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use offmodel_cells::generated::GeneratedCode;
use offmodel_toolchain::Toolchain;
use offmodel_toolchain::extra_crates::ExtraCrates;

use crate::cache::Cache;
use crate::diagnostics::{self, CellDiagnostic, SOURCE_FILE};
use crate::errors::CompileError;
use crate::notebook::Notebook;

/// The compiler, with the inputs of one notebook.
#[derive(Debug)]
pub(crate) struct Rustc<'a> {
    pub notebook: &'a Notebook,
    pub extra_crates: &'a ExtraCrates,
    pub toolchain: &'a Toolchain,
    pub cache: &'a Cache,
    /// The folder to compile in.
    pub work_folder: &'a Path,
}

impl Rustc<'_> {
    /// Compiles a program to `program` in the work folder. `command` is rustc with the flags for the
    /// prelude.
    ///
    /// # Errors
    /// [`CompileError::Cells`] if errors are in cells; [`CompileError::Compiler`] if the compiler
    /// failed for another reason.
    pub(crate) fn compile(
        &self,
        mut command: Command,
        code: &GeneratedCode,
    ) -> Result<(), CompileError> {
        self.write(code)?;
        let output = command
            .args(self.extra_crates.arguments())
            .args([
                "--crate-name",
                "notebook",
                "--crate-type",
                "bin",
                "--error-format",
                "json",
            ])
            .args(["-o", "program", SOURCE_FILE])
            // rustc names files in messages as they are passed to it: here without a folder.
            .current_dir(self.work_folder)
            .output()
            .map_err(|source| self.not_started(source))?;
        if output.status.success() {
            return Ok(());
        }
        let diagnostics = diagnostics::parse(&output.stderr, code);
        if diagnostics.starts_outside_cells || diagnostics.in_cells.is_empty() {
            let outside = diagnostics.outside_cells.join("\n");
            return Err(CompileError::Compiler {
                notebook: self.notebook.path.clone(),
                output: format!("{}\n{outside}", output.status),
            });
        }
        Err(self.errors_in_cells(diagnostics.in_cells))
    }

    /// Checks a program without generating machine code, and returns the errors in cells, rendered
    /// as in the live kernel.
    pub(crate) fn check(&self, code: &GeneratedCode) -> Result<Vec<CellDiagnostic>, CompileError> {
        self.write(code)?;
        let output = self
            .toolchain
            .rustc_command()
            .args(self.extra_crates.arguments())
            .args(["--crate-name", "notebook", "--crate-type", "bin"])
            .args(["--emit", "metadata", "-o", "check.rmeta"])
            .args([
                "-Ztrim-diagnostic-paths=no",
                "-Zwrite-long-types-to-disk=no",
            ])
            .args(["--error-format", "json"])
            .arg("--json=diagnostic-rendered-ansi")
            .arg(SOURCE_FILE)
            // The flags with `-Z` are unstable.
            .env("RUSTC_BOOTSTRAP", "1")
            .current_dir(self.work_folder)
            .output()
            .map_err(|source| self.not_started(source))?;
        Ok(diagnostics::parse(&output.stderr, code).in_cells)
    }

    /// The error of a notebook with these errors, in the order of its cells.
    pub(crate) fn errors_in_cells(&self, mut errors: Vec<CellDiagnostic>) -> CompileError {
        errors.sort_by_key(|error| (error.cell, error.line, error.column));
        CompileError::Cells {
            notebook: self.notebook.path.clone(),
            errors,
        }
    }

    fn write(&self, code: &GeneratedCode) -> Result<(), CompileError> {
        fs::write(self.work_folder.join(SOURCE_FILE), code.text()).map_err(|source| {
            CompileError::Cache {
                folder: self.cache.folder().to_owned(),
                source,
            }
        })
    }

    fn not_started(&self, source: io::Error) -> CompileError {
        CompileError::Start {
            compiler: self.toolchain.rustc.clone(),
            source,
        }
    }
}
