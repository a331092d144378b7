//! What a user is told when a session does not start, or a cell does not run.

use std::path::{Path, PathBuf};

use offmodel_cells::rendering::headline;
use offmodel_events::CellError;
use offmodel_toolchain::ToolchainError;

/// Why a session could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Compiler, prelude or libtorch are missing.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The program did not enter the session's environment.
    #[error(
        "this process is not in a session's environment: `main` has to call `enter_session_environment` first"
    )]
    Environment,
    /// The session's folder for generated code could not be made.
    #[error("failed to make a folder for the session's code")]
    Folder(#[source] std::io::Error),
    /// evcxr or its child did not start.
    #[error("failed to start evcxr: {0}")]
    Evaluator(String),
    /// The prelude is of another build than this program or its own parts.
    #[error(
        "the library that cells use, {}, does not fit this program: they were built at different \
         times; run `cargo build --workspace`",
        path.display()
    )]
    StalePrelude {
        /// The library.
        path: PathBuf,
        /// What the compiler or the loader said.
        reason: String,
    },
    /// The prelude did not load into the child.
    #[error("failed to load the prelude: {0}")]
    Prelude(String),
}

impl SessionError {
    /// Tells a prelude of another build from one that fails to load.
    pub(crate) fn of_prelude(reason: String, prelude: &Path) -> Self {
        // rustc: no crate of that name with the right metadata, a dependency that it was not
        // built with, another compiler, damaged metadata. The loader: a symbol that is not there.
        const STALE: [&str; 6] = [
            "E0463",
            "E0460",
            "E0461",
            "E0514",
            "E0786",
            "undefined symbol",
        ];
        if STALE.iter().any(|sign| reason.contains(sign)) {
            let path = prelude.to_owned();
            return Self::StalePrelude { path, reason };
        }
        Self::Prelude(reason)
    }
}

/// A cell that is no Rust.
pub(crate) fn parse_failure(source: &str, error: &offmodel_cells::ParseError) -> CellError {
    let value = headline(&error.message, error.line, error.column);
    CellError::new("compile error", value)
        .with_traceback([error.rendered(source)])
        .at_line(error.line)
}

/// A compiler's message about no line of the cell.
pub(crate) fn compile_failure(rendered: &str) -> CellError {
    let first = rendered.lines().next();
    let value = first.unwrap_or("the cell does not compile");
    CellError::new("compile error", value).with_traceback(rendered.lines())
}

/// The end of the child process, and the variables that it had.
pub(crate) fn died(cause: &str, lost: &[String]) -> CellError {
    let what = match lost {
        [] => "no variable was lost".to_owned(),
        names => format!("lost with it: {}", names.join(", ")),
    };
    let value = format!("the process that runs the cells ended: {}", cause.trim());
    let kept = format!("{what}; definitions of functions and types are kept");
    CellError::new("process died", value.clone()).with_traceback([value, kept])
}

/// A command that is none.
pub(crate) fn unknown_command(name: &str, line: usize) -> CellError {
    let value = format!("there is no command :{name}; :help lists them");
    let place = format!("line {line}: there is no command :{name}");
    CellError::new("unknown command", value)
        .with_traceback([place, crate::commands::HELP.to_owned()])
        .at_line(line)
}
