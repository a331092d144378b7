//! What a language offers to the protocol.

use std::sync::Arc;

pub use offmodel_events::completion::{Candidate, Completeness, Completions};
use offmodel_events::{CellError, Event, MimeBundle};

use crate::handlers::comms::CommTargets;

/// A language with its live state. It is started, used and dropped on one thread of its own.
pub trait Language: Sized + 'static {
    /// What front ends want to know before anything runs.
    fn description() -> Description;

    /// Whether a text can be run as it stands. Answered without the live state, and so also
    /// while that is starting.
    fn is_complete(source: &str) -> Completeness;

    /// What front ends can open comms to.
    fn comm_targets() -> CommTargets {
        CommTargets::default()
    }

    /// Makes the language ready for its first cell. May take seconds.
    ///
    /// # Errors
    /// With what the user is to be told; every cell is answered with it.
    fn start() -> Result<Self, CellError>;

    /// What stops a running cell.
    fn interrupter(&self) -> Arc<dyn Interrupter>;

    /// Runs a cell and returns when it has ended.
    ///
    /// # Errors
    /// When the cell fails; the error is not passed to `frontend` as well.
    fn execute(&mut self, cell: Cell<'_>, frontend: &mut dyn Frontend) -> Result<(), CellError>;

    /// The value of an expression, for a front end that wants to know it without a cell.
    ///
    /// # Errors
    /// When the expression has no value.
    fn evaluate(
        &mut self,
        expression: Cell<'_>,
        frontend: &mut dyn Frontend,
    ) -> Result<MimeBundle, CellError>;

    /// Texts that could stand at `cursor`, a byte offset on a character border.
    fn complete(&mut self, source: &str, cursor: usize) -> Completions;

    /// What is known about the name at `cursor`, a byte offset on a character border.
    fn inspect(&mut self, source: &str, cursor: usize, detail: Detail) -> Option<MimeBundle>;
}

/// A text to run.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// Its number in the session, from 1. Cells that leave no history reuse a number.
    pub execution_count: usize,
    /// The text.
    pub source: &'a str,
}

/// Whom a running cell talks to.
pub trait Frontend {
    /// Shows something.
    fn event(&mut self, event: Event);

    /// Shows something that was asked for about the code, outside the cell's outputs where the
    /// front end has a place for that.
    fn page(&mut self, data: MimeBundle);

    /// Asks the user for a line of text and waits for it. A password is not echoed.
    ///
    /// # Errors
    /// When nobody can answer, or the cell is interrupted meanwhile.
    fn input(&mut self, prompt: &str, password: bool) -> Result<String, InputError>;
}

/// Why no input came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The front end that sent the cell takes no questions.
    #[error("this front end does not support input")]
    NotSupported,
    /// The cell was interrupted while waiting.
    #[error("interrupted while waiting for input")]
    Interrupted,
    /// The question could not be sent, or the kernel is ending.
    #[error("the front end went away")]
    Disconnected,
}

/// Stops a running cell, from another thread.
pub trait Interrupter: Send + Sync {
    /// Asks the cell to stop. Repeated until the cell has ended: it has to do no harm then.
    fn interrupt(&self);

    /// Stops the cell by force, at the price of the session's variables.
    fn kill(&self);
}

/// What front ends want to know about a language.
#[derive(Debug, Clone)]
pub struct Description {
    /// The kernel's name.
    pub implementation: String,
    /// The kernel's version.
    pub implementation_version: String,
    /// Shown by consoles when they start.
    pub banner: String,
    /// The language's name.
    pub name: String,
    /// The language's version.
    pub version: String,
    /// Of a source file.
    pub mimetype: String,
    /// Of a source file, with the dot.
    pub file_extension: String,
    /// For highlighting in consoles and exports.
    pub pygments_lexer: String,
    /// For highlighting in editors.
    pub codemirror_mode: String,
}

/// How much to tell about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Type and documentation (`name?`).
    Summary,
    /// Source code as well, where known (`name??`).
    Source,
}
