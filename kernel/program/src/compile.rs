use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use offmodel_toolchain::Toolchain;
use offmodel_toolchain::extra_crates::{ExtraCrates, ExtraCratesError};

use crate::diagnostics::{self, CellDiagnostic};
use crate::generate::{FILE, dependencies, generate_without};
use crate::refusal::{Check, CheckError, Refusals, further_refusals};
use crate::source::Source;
use crate::{Cache, CodeCell, GenerateError, Notebook, Versions, cache, generate};

/// A compiled notebook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The executable.
    pub executable: PathBuf,
    /// Its name in the cache: identifies source, compiler and prelude.
    pub key: String,
    /// How long the compiler took; `None` if the program was in the cache.
    pub compiled_in: Option<Duration>,
    /// What it was made of.
    pub versions: Versions,
}

/// Which program a notebook becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// [`Program::key`].
    pub key: String,
    /// [`Program::versions`].
    pub versions: Versions,
}

/// Why a notebook did not become a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// A cell does not compile.
    #[error("{}", in_cells(notebook, errors))]
    Cells {
        /// The notebook.
        notebook: PathBuf,
        /// The compiler's errors, at least one, in the order of cells.
        errors: Vec<CellDiagnostic>,
    },
    /// A cell that cannot be part of a program.
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
        /// What Cargo said.
        reason: ExtraCratesError,
    },
    /// The compiler failed without naming a cell.
    #[error("failed to compile {}: {output}", notebook.display())]
    Compiler {
        /// The notebook.
        notebook: PathBuf,
        /// What it said.
        output: String,
    },
    /// The compiler could not be started.
    #[error("failed to start {}: {source}", compiler.display())]
    Start {
        /// The compiler.
        compiler: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The cache cannot be written.
    #[error("failed to write the compiled program into {}: {source}", folder.display())]
    Cache {
        /// The cache's folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A part of the toolchain cannot be read.
    #[error("failed to read the prelude or the compiler: {0}")]
    Toolchain(#[source] io::Error),
}

/// Compiles a notebook, or finds it compiled. `progress` hears what Cargo does for crates of `:dep`
/// lines, which may take minutes.
///
/// # Errors
/// When a cell does not compile, told in the cell's own lines, or the program cannot be written.
pub fn compile(
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
    progress: &mut dyn FnMut(&str),
) -> Result<Program, CompileError> {
    let source = match generate(notebook) {
        Ok(source) => source,
        Err(error) => return Err(with_compilers_words(error, notebook, toolchain, cache)),
    };
    let further = further_crates(notebook, toolchain, progress)?;
    let Identity { key, versions } = identity(&source, &further, toolchain, cache)?;
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
    let workplace = cache.workplace().map_err(unwritable)?;
    let compiler = Compiler {
        notebook,
        further: &further,
        toolchain,
        cache,
        workplace: workplace.path(),
    };
    compiler.compile(source, &|| toolchain.rustc_command())?;
    versions.write(workplace.path()).map_err(unwritable)?;
    let executable = cache.publish(workplace, &key).map_err(unwritable)?;
    Ok(Program {
        executable,
        key,
        compiled_in: Some(started.elapsed()),
        versions,
    })
}

/// Compiles a notebook to `program` in a workplace, for a machine where the libraries lie in
/// the folder `lib` beside it; tells what it was made of.
pub(crate) fn compile_portable(
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
    workplace: &Path,
) -> Result<Identity, CompileError> {
    let source = match generate(notebook) {
        Ok(source) => source,
        Err(error) => return Err(with_compilers_words(error, notebook, toolchain, cache)),
    };
    let further = further_crates(notebook, toolchain, &mut |_| {})?;
    let identity = identity(&source, &further, toolchain, cache)?;
    let compiler = Compiler {
        notebook,
        further: &further,
        toolchain,
        cache,
        workplace,
    };
    compiler.compile(source, &|| toolchain.portable_rustc_command("lib"))?;
    Ok(identity)
}

/// Tells which program a notebook would become, without compiling it.
///
/// # Errors
/// When a cell cannot be part of a program, a crate of a `:dep` line cannot be built, or a part
/// of the toolchain cannot be read.
pub fn identify(
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
) -> Result<Identity, CompileError> {
    let source = generate(notebook)?;
    let further = further_crates(notebook, toolchain, &mut |_| {})?;
    identity(&source, &further, toolchain, cache)
}

fn identity(
    source: &Source,
    further: &ExtraCrates,
    toolchain: &Toolchain,
    cache: &Cache,
) -> Result<Identity, CompileError> {
    let key = cache::key(source, further, toolchain).map_err(CompileError::Toolchain)?;
    let folder = cache.folder().join(&key);
    let versions = match Versions::read(&folder) {
        Some(versions) => versions,
        None => {
            let versions =
                Versions::of(source, further, toolchain).map_err(CompileError::Toolchain)?;
            if folder.is_dir() {
                // A program compiled before versions were kept; next time it is quicker.
                let _ = versions.write(&folder);
            }
            versions
        }
    };
    Ok(Identity { key, versions })
}

fn further_crates(
    notebook: &Notebook,
    toolchain: &Toolchain,
    progress: &mut dyn FnMut(&str),
) -> Result<ExtraCrates, CompileError> {
    let dependencies = dependencies(notebook)?;
    let Some(last) = dependencies.last() else {
        return Ok(ExtraCrates::default());
    };
    let requests: Vec<_> = dependencies
        .iter()
        .map(|dependency| dependency.request.clone())
        .collect();
    toolchain
        .extra_crates(&requests, None, progress)
        .map_err(|reason| {
            // Cargo names the crate: its line is the place, else the last that was added.
            let told = reason.to_string();
            let place = dependencies
                .iter()
                .find(|dependency| told.contains(&format!("`{}`", dependency.request.name())))
                .unwrap_or(last);
            CompileError::ExtraCrates {
                notebook: notebook.path.clone(),
                cell: place.cell,
                line: place.line,
                reason,
            }
        })
}

/// Calls of the compiler for one notebook.
struct Compiler<'a> {
    notebook: &'a Notebook,
    further: &'a ExtraCrates,
    toolchain: &'a Toolchain,
    cache: &'a Cache,
    workplace: &'a Path,
}

impl Compiler<'_> {
    /// Compiles a program; cells that may fail and do not compile are left out of it, and show
    /// their errors instead.
    fn compile(
        &self,
        mut source: Source,
        command: &dyn Fn() -> Command,
    ) -> Result<(), CompileError> {
        let mut refusals = Refusals::new();
        loop {
            let errors = match self.run(command(), &source) {
                Err(CompileError::Cells { errors, .. }) => errors,
                ended => return ended,
            };
            let may_fail: HashSet<usize> = self
                .notebook
                .executed()
                .filter(|code| code.may_fail())
                .map(|code| code.number)
                .collect();
            let (allowed, fatal): (Vec<_>, Vec<_>) = errors
                .into_iter()
                .partition(|error| may_fail.contains(&error.cell));
            if !fatal.is_empty() {
                return Err(self.in_cells(fatal));
            }
            let check = Check {
                toolchain: self.toolchain,
                further: self.further,
                workplace: self.workplace,
            };
            let further = further_refusals(self.notebook, &allowed, &refusals, &check)
                .map_err(|error| self.unchecked(error))?;
            if further.is_empty() {
                return Err(self.in_cells(allowed));
            }
            refusals.extend(further);
            source = generate_without(self.notebook, &refusals, usize::MAX)?;
        }
    }

    /// Calls the compiler once.
    fn run(&self, mut command: Command, source: &Source) -> Result<(), CompileError> {
        fs::write(self.workplace.join(FILE), &source.text)
            .map_err(|source| self.unwritable(source))?;
        let output = command
            .args(self.further.arguments())
            .args([
                "--crate-name",
                "notebook",
                "--crate-type",
                "bin",
                "--error-format",
                "json",
            ])
            .args(["-o", "program", FILE])
            // Locations name the file as it is given here.
            .current_dir(self.workplace)
            .output()
            .map_err(|source| self.not_started(source))?;
        if output.status.success() {
            return Ok(());
        }
        let diagnostics = diagnostics::read(&output.stderr, source);
        if diagnostics.began_elsewhere || diagnostics.in_cells.is_empty() {
            let notebook = self.notebook.path.clone();
            let output = format!("{}\n{}", output.status, diagnostics.elsewhere.join("\n"));
            return Err(CompileError::Compiler { notebook, output });
        }
        Err(self.in_cells(diagnostics.in_cells))
    }

    fn in_cells(&self, mut errors: Vec<CellDiagnostic>) -> CompileError {
        errors.sort_by_key(|error| (error.cell, error.line, error.column));
        CompileError::Cells {
            notebook: self.notebook.path.clone(),
            errors,
        }
    }

    fn unchecked(&self, error: CheckError) -> CompileError {
        match error {
            CheckError::Generate(error) => error.into(),
            CheckError::Write(source) => self.unwritable(source),
            CheckError::Start(source) => self.not_started(source),
        }
    }

    fn unwritable(&self, source: io::Error) -> CompileError {
        CompileError::Cache {
            folder: self.cache.folder().to_owned(),
            source,
        }
    }

    fn not_started(&self, source: io::Error) -> CompileError {
        CompileError::Start {
            compiler: self.toolchain.rustc.clone(),
            source,
        }
    }
}

/// The compiler's own message about a cell that does not parse, which says more than ours.
fn with_compilers_words(
    error: GenerateError,
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
) -> CompileError {
    let GenerateError::Syntax { cell, .. } = &error else {
        return error.into();
    };
    let Some(code) = notebook.code.iter().find(|code| code.number == *cell) else {
        return error.into();
    };
    let Ok(workplace) = cache.workplace() else {
        return error.into();
    };
    let compiler = Compiler {
        notebook,
        further: &ExtraCrates::default(),
        toolchain,
        cache,
        workplace: workplace.path(),
    };
    let compiled = compiler.run(toolchain.rustc_command(), &alone(code));
    let Err(CompileError::Cells {
        notebook,
        mut errors,
    }) = compiled
    else {
        return error.into();
    };
    // Behind a syntax error, the compiler may go on and miss what other cells define.
    errors.retain(|error| error.code.is_none());
    if errors.is_empty() {
        error.into()
    } else {
        CompileError::Cells { notebook, errors }
    }
}

/// A program of one cell, to be parsed.
fn alone(code: &CodeCell) -> Source {
    let mut source = Source::default();
    source.push("fn main() {");
    source.push_cell(code.number, &code.source, &code.source, Vec::new());
    source.push("}");
    source
}

fn in_cells(notebook: &Path, errors: &[CellDiagnostic]) -> String {
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
