//! From a notebook to an executable in the cache.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use offmodel_cells::generated::GeneratedCode;
use offmodel_toolchain::Toolchain;
use offmodel_toolchain::extra_crates::ExtraCrates;

use crate::cache::{self, Cache};
use crate::errors::CompileError;
use crate::excluded_cells::find_excluded_cells;
use crate::extra_crates::build_extra_crates;
use crate::generate::{GenerateError, generate, generate_without};
use crate::notebook::{CodeCell, Notebook};
use crate::rustc::Rustc;
use crate::shown_error::ExcludedCells;
use crate::versions::Versions;

/// A compiled notebook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The executable.
    pub executable: PathBuf,
    /// The name in the cache: a hash of source, compiler and prelude.
    pub key: String,
    /// The time that the compiler took; none if the program was in the cache.
    pub compiled_in: Option<Duration>,
    /// The inputs of the program.
    pub versions: Versions,
}

/// The identity of the program that a notebook compiles to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// [`Program::key`].
    pub key: String,
    /// [`Program::versions`].
    pub versions: Versions,
}

/// Compiles a notebook, or finds it in the cache. `progress` receives the steps of Cargo, which
/// builds the crates of `:dep` lines and may take minutes.
///
/// # Errors
/// When a cell does not compile, with positions in the cell, or the program cannot be written.
pub fn compile(
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
    progress: &mut dyn FnMut(&str),
) -> Result<Program, CompileError> {
    let code = generate_or_explain(notebook, toolchain, cache)?;
    let extra_crates = build_extra_crates(notebook, toolchain, progress)?;
    let Identity { key, versions } = identity(&code, &extra_crates, toolchain, cache)?;
    if let Some(executable) = cache.find(&key) {
        return Ok(Program {
            executable,
            key,
            compiled_in: None,
            versions,
        });
    }
    let started = Instant::now();
    let unwritable = |source| CompileError::Cache {
        folder: cache.folder().to_owned(),
        source,
    };
    let work_folder = cache.work_folder().map_err(unwritable)?;
    let rustc = Rustc {
        notebook,
        extra_crates: &extra_crates,
        toolchain,
        cache,
        work_folder: work_folder.path(),
    };
    compile_with_exclusions(&rustc, code, &|| toolchain.rustc_command())?;
    versions.write(work_folder.path()).map_err(unwritable)?;
    let executable = cache.publish(work_folder, &key).map_err(unwritable)?;
    Ok(Program {
        executable,
        key,
        compiled_in: Some(started.elapsed()),
        versions,
    })
}

/// Compiles a notebook to `program` in `work_folder`, for a machine on which the libraries are in
/// the folder `lib` beside it.
pub(crate) fn compile_portable(
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
    work_folder: &Path,
) -> Result<Identity, CompileError> {
    let code = generate_or_explain(notebook, toolchain, cache)?;
    let extra_crates = build_extra_crates(notebook, toolchain, &mut |_| {})?;
    let identity = identity(&code, &extra_crates, toolchain, cache)?;
    let rustc = Rustc {
        notebook,
        extra_crates: &extra_crates,
        toolchain,
        cache,
        work_folder,
    };
    compile_with_exclusions(&rustc, code, &|| toolchain.portable_rustc_command("lib"))?;
    Ok(identity)
}

/// Determines which program a notebook would become, without compiling it.
///
/// # Errors
/// When a cell cannot be part of a program, a crate of a `:dep` line cannot be built, or a part
/// of the toolchain cannot be read.
pub fn identify(
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
) -> Result<Identity, CompileError> {
    let code = generate(notebook)?;
    let extra_crates = build_extra_crates(notebook, toolchain, &mut |_| {})?;
    identity(&code, &extra_crates, toolchain, cache)
}

fn identity(
    code: &GeneratedCode,
    extra_crates: &ExtraCrates,
    toolchain: &Toolchain,
    cache: &Cache,
) -> Result<Identity, CompileError> {
    let key = cache::key(code, extra_crates, toolchain).map_err(CompileError::Toolchain)?;
    let folder = cache.folder().join(&key);
    let versions = match Versions::read(&folder) {
        Some(versions) => versions,
        None => {
            let versions =
                Versions::new(code, extra_crates, toolchain).map_err(CompileError::Toolchain)?;
            if folder.is_dir() {
                // The program was compiled by an offmodel that did not record versions. They are
                // written so that the next call need not hash the prelude; failing costs only that.
                let _ = versions.write(&folder);
            }
            versions
        }
    };
    Ok(Identity { key, versions })
}

/// Compiles a program; cells that may fail and do not compile are excluded from it, and their
/// errors shown instead. `command` is rustc with the flags for the prelude.
///
/// The loop ends: each round excludes at least one more cell or returns.
fn compile_with_exclusions(
    rustc: &Rustc<'_>,
    mut code: GeneratedCode,
    command: &dyn Fn() -> Command,
) -> Result<(), CompileError> {
    let may_fail: HashSet<usize> = rustc
        .notebook
        .executed_cells()
        .filter(|code_cell| code_cell.may_fail())
        .map(|code_cell| code_cell.number)
        .collect();
    let mut excluded = ExcludedCells::new();
    loop {
        let errors = match rustc.compile(command(), &code) {
            Err(CompileError::Cells { errors, .. }) => errors,
            result => return result,
        };
        let (allowed, fatal): (Vec<_>, Vec<_>) = errors
            .into_iter()
            .partition(|error| may_fail.contains(&error.cell));
        if !fatal.is_empty() {
            return Err(rustc.errors_in_cells(fatal));
        }
        let found = find_excluded_cells(rustc.notebook, &allowed, &excluded, rustc)?;
        if found.is_empty() {
            return Err(rustc.errors_in_cells(allowed));
        }
        excluded.extend(found);
        code = generate_without(rustc.notebook, &excluded, usize::MAX)?;
    }
}

/// Generates the program. If a cell does not parse, the error is the compiler's own where it has
/// one, because it explains more than the parser's.
fn generate_or_explain(
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
) -> Result<GeneratedCode, CompileError> {
    generate(notebook).map_err(|error| {
        explain_syntax_error(&error, notebook, toolchain, cache).unwrap_or_else(|| error.into())
    })
}

/// The compiler's error about a cell that does not parse; none if the compiler finds none.
fn explain_syntax_error(
    error: &GenerateError,
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
) -> Option<CompileError> {
    let GenerateError::Syntax { cell, .. } = error else {
        return None;
    };
    let code_cell = notebook
        .code_cells
        .iter()
        .find(|code_cell| code_cell.number == *cell)?;
    let work_folder = cache.work_folder().ok()?;
    let rustc = Rustc {
        notebook,
        extra_crates: &ExtraCrates::default(),
        toolchain,
        cache,
        work_folder: work_folder.path(),
    };
    let result = rustc.compile(toolchain.rustc_command(), &alone(code_cell));
    let Err(CompileError::Cells {
        notebook,
        mut errors,
    }) = result
    else {
        return None;
    };
    // After a syntax error, the compiler may go on and report names that other cells define. Only
    // errors of its parser have no code.
    errors.retain(|error| error.code.is_none());
    (!errors.is_empty()).then_some(CompileError::Cells { notebook, errors })
}

/// A program of one cell that is not Rust.
fn alone(code_cell: &CodeCell) -> GeneratedCode {
    let mut code = GeneratedCode::default();
    code.push("fn main() {");
    code.push_cell_lines(code_cell.number, 1, &code_cell.source);
    code.push("}");
    code
}
