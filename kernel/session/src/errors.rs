//! Errors of the session itself, and errors of cells that do not come from their code.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use offmodel_cells::rendering::headline;
use offmodel_events::CellError;
use offmodel_toolchain::ToolchainError;

/// Why a session could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The compiler, the prelude or libtorch is missing.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The program did not enter the session's environment.
    #[error(
        "this process is not in a session's environment: `main` has to call `enter_session_environment` first"
    )]
    Environment,
    /// The folder for generated code could not be created.
    #[error("failed to create a folder for the session's code")]
    Folder(#[source] std::io::Error),
    /// evcxr or the child process did not start.
    #[error("failed to start evcxr: {0}")]
    Evcxr(String),
    /// The prelude is from another build than this program.
    #[error(
        "the library that cells use, {}, does not fit this program: they were built at different \
         times; run `cargo build --workspace`",
        path.display()
    )]
    StalePrelude {
        /// The prelude.
        path: PathBuf,
        /// The message of the compiler or the loader.
        reason: String,
    },
    /// The child process did not load the prelude.
    #[error("failed to load the prelude: {0}")]
    Prelude(String),
}

impl SessionError {
    /// The error for a prelude that did not load, with `reason` from the compiler or the loader.
    pub(crate) fn prelude_not_loaded(reason: String, prelude: &Path) -> Self {
        /// Signs of a prelude from another build. rustc: no crate with the right metadata (E0463),
        /// built with another dependency (E0460, E0461) or compiler (E0514), damaged metadata
        /// (E0786). The loader: a symbol that is not there.
        const SIGNS_OF_ANOTHER_BUILD: [&str; 6] = [
            "E0463",
            "E0460",
            "E0461",
            "E0514",
            "E0786",
            "undefined symbol",
        ];
        if SIGNS_OF_ANOTHER_BUILD
            .iter()
            .any(|sign| reason.contains(sign))
        {
            let path = prelude.to_owned();
            return Self::StalePrelude { path, reason };
        }
        Self::Prelude(reason)
    }
}

/// The error of a cell that is not Rust.
pub(crate) fn parse_error(source: &str, error: &offmodel_cells::ParseError) -> CellError {
    let value = headline(&error.message, error.line, error.column);
    CellError::new("compile error", value)
        .with_traceback([error.rendered(source)])
        .at_line(error.line)
}

/// The error of a cell whose compile errors are in no line of it.
pub(crate) fn compile_error(rendered: &str) -> CellError {
    let first = rendered.lines().next();
    let value = first.unwrap_or("the cell does not compile");
    CellError::new("compile error", value).with_traceback(rendered.lines())
}

/// The error of a cell that the compiler was not called for; `action` is what failed.
pub(crate) fn compiler_failed(action: &str, error: impl Display) -> CellError {
    CellError::new("compile error", format!("failed to {action}: {error}"))
}

/// The error of a cell that ended the child process, which held the variables `lost`.
pub(crate) fn process_died(cause: &str, lost: &[String]) -> CellError {
    let losses = match lost {
        [] => "no variable was lost".to_owned(),
        names => format!("lost with it: {}", names.join(", ")),
    };
    let value = format!("the process that runs the cells ended: {}", cause.trim());
    let consequences = format!("{losses}; definitions of functions and types are kept");
    CellError::new("process died", value.clone()).with_traceback([value, consequences])
}
