//! What an attempt became, read from what it left in its folder.

use std::path::Path;

use offmodel_cells::parameters::Parameter;
use offmodel_events::CellError;
use offmodel_events::batch::ExitStatus;
use offmodel_program::Notebook;

use crate::assignment::Assignment;
use crate::error::RunnerError;
use crate::notebook_output::ExecutedNotebook;
use crate::store::{Cause, cause_of_ending, cause_of_error};
use crate::trace::{Trace, read_events};

/// An execution told from its events.
#[derive(Debug)]
pub struct Executed {
    /// The notebook with its outputs in place, as a file's text.
    pub notebook: String,
    /// Why it failed, if it did.
    pub cause: Option<Cause>,
    /// The error of the cell that failed.
    pub error: Option<CellError>,
    /// Names of the recorded frames.
    pub frames: Vec<String>,
    /// Cells that ended well.
    pub finished: usize,
}

/// Reads the events of an attempt that ended.
///
/// # Errors
/// When there are none, or the notebook cannot be expressed as a file.
pub fn executed(
    folder: &Path,
    ending: &ExitStatus,
    notebook: &Notebook,
    parameters: &[Parameter],
    given: &Assignment,
) -> Result<Executed, RunnerError> {
    let mut trace = Trace::default();
    let mut outputs = ExecutedNotebook::new(notebook);
    let path = folder.join("events.jsonl");
    let read = read_events(&path, |event| {
        trace.add(&event);
        outputs.apply(event);
    });
    // A program that died before its first event leaves none; how it ended tells why.
    if let Err(error) = read
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(RunnerError::Read {
            path,
            reason: error.to_string(),
        });
    }
    let died = cause_of_ending(ending, trace.running);
    if died.is_none() {
        // The last cell may fail.
        trace.error = None;
    }
    let cause = match &trace.error {
        Some((cell, error)) => Some(cause_of_error(*cell, error)),
        None => died,
    };
    if let (None, Some(cause)) = (&trace.error, &cause) {
        outputs.push_error(program_error(cause));
    }
    let notebook = outputs
        .finish(notebook, parameters, given)
        .map_err(|error| RunnerError::Write {
            path: folder.join("out.ipynb"),
            source: std::io::Error::other(error.to_string()),
        })?;
    let Trace {
        error,
        frames,
        finished,
        ..
    } = trace;
    Ok(Executed {
        notebook,
        cause,
        error: error.map(|(_, error)| error),
        frames,
        finished,
    })
}

/// An end that the program could not report itself, as the error of the cell that ran.
fn program_error(cause: &Cause) -> CellError {
    CellError::new("program ended", cause.to_string())
}
