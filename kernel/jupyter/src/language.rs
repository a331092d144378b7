//! The interface between the protocol and a language.

use std::sync::Arc;

pub use offmodel_events::completion::{Candidate, Completeness, Completions};
use offmodel_events::{CellError, Event, MimeBundle};

use crate::handlers::comms::CommTargets;

/// A language with its live state. It is started, used and dropped on one thread of its own.
///
/// The links lead to the part of the messaging protocol that a method serves.
pub trait Language: Sized + 'static {
    /// What the kernel replies to a
    /// [`kernel_info_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-info),
    /// also before the language has started.
    fn kernel_info() -> KernelInfo;

    /// Returns whether `source` can be executed as it stands, for an
    /// [`is_complete_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#code-completeness).
    /// Needs no live state, so that consoles get a reply while the language starts.
    fn is_complete(source: &str) -> Completeness;

    /// The targets to which front ends can open
    /// [comms](https://jupyter-client.readthedocs.io/en/stable/messaging.html#custom-messages).
    fn comm_targets() -> CommTargets {
        CommTargets::default()
    }

    /// Starts the language, which may take seconds.
    ///
    /// # Errors
    /// The error with which every cell fails from then on.
    fn start() -> Result<Self, CellError>;

    /// Returns the handle with which other threads interrupt a running cell.
    fn interrupter(&self) -> Arc<dyn Interrupter>;

    /// [Executes](https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute) a cell,
    /// and returns when it has ended.
    ///
    /// # Errors
    /// The error of the cell, which the kernel publishes; `frontend` must not get it as well.
    fn execute(&mut self, cell: Cell<'_>, frontend: &mut dyn Frontend) -> Result<(), CellError>;

    /// Evaluates one of the `user_expressions` of an `execute_request`.
    ///
    /// # Errors
    /// When the expression fails or has no value.
    fn evaluate(
        &mut self,
        expression: Cell<'_>,
        frontend: &mut dyn Frontend,
    ) -> Result<MimeBundle, CellError>;

    /// Returns the [completions](https://jupyter-client.readthedocs.io/en/stable/messaging.html#completion)
    /// at `cursor`, a byte offset on a character boundary.
    fn complete(&mut self, source: &str, cursor: usize) -> Completions;

    /// [Inspects](https://jupyter-client.readthedocs.io/en/stable/messaging.html#introspection) the
    /// name at `cursor`, a byte offset on a character boundary. None if nothing is known about it.
    fn inspect(
        &mut self,
        source: &str,
        cursor: usize,
        detail_level: DetailLevel,
    ) -> Option<MimeBundle>;
}

/// The source of a cell, or an expression in its place.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// The number that the front end shows beside the cell, from 1. The next cell gets the same
    /// number if this one is not stored in the history.
    pub execution_count: usize,
    /// The source code.
    pub source: &'a str,
}

/// What a running cell sends to the front end that executes it.
pub trait Frontend {
    /// Publishes an output.
    fn event(&mut self, event: Event);

    /// Shows documentation outside the cell's outputs, where the front end has a pager.
    fn page(&mut self, data: MimeBundle);

    /// [Requests a line of input](https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-stdin-router-dealer-channel)
    /// from the user and waits for it. A password is not echoed.
    ///
    /// # Errors
    /// When the front end supports no input, or the cell is interrupted meanwhile.
    fn input(&mut self, prompt: &str, password: bool) -> Result<String, InputError>;
}

/// Why a cell got no input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The front end sent the cell with `allow_stdin` false.
    #[error("this front end does not support input")]
    NotSupported,
    /// The cell was interrupted while it waited.
    #[error("interrupted while waiting for input")]
    Interrupted,
    /// The request could not be sent, or the kernel shuts down.
    #[error("the front end disconnected")]
    Disconnected,
}

/// Interrupts or kills a running cell from another thread.
pub trait Interrupter: Send + Sync {
    /// Asks the cell to stop. The kernel repeats the call until the cell has ended, so it must be
    /// harmless at any time.
    fn interrupt(&self);

    /// Stops the cell at once, at the cost of the session's variables.
    fn kill(&self);
}

/// The parts of a
/// [`kernel_info_reply`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-info)
/// that depend on the language.
#[derive(Debug, Clone)]
pub struct KernelInfo {
    /// The kernel's name.
    pub implementation: String,
    /// The kernel's version.
    pub implementation_version: String,
    /// The text that consoles show when they start.
    pub banner: String,
    /// The language of the cells.
    pub language_info: LanguageInfo,
}

/// The language of a kernel's cells, which front ends also store in the notebook's metadata.
#[derive(Debug, Clone)]
pub struct LanguageInfo {
    /// The language's name.
    pub name: String,
    /// The language's version.
    pub version: String,
    /// The MIME type of its source files.
    pub mimetype: String,
    /// The extension of its source files, with the dot.
    pub file_extension: String,
    /// The lexer with which consoles and exports highlight it.
    pub pygments_lexer: String,
    /// The mode with which editors highlight it.
    pub codemirror_mode: String,
}

/// The `detail_level` of an
/// [`inspect_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#introspection).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetailLevel {
    /// Level 0, `name?` in consoles: type and documentation.
    Documentation,
    /// Level 1, `name??` in consoles: the source code as well, where it is known.
    Source,
}
