use std::path::Path;

use offmodel_cells::parameters::Parameter;
use offmodel_events::CellError;
use offmodel_events::batch::ExitStatus;
use offmodel_program::Notebook;

use crate::assignment::Assignment;
use crate::attempt_events::{EventSummary, read_events};
use crate::error::RunnerError;
use crate::notebook_output::ExecutedNotebook;
use crate::store::{FailureReason, failure_of_cell_error, failure_of_exit_status};

/// What an attempt left behind, read from its `events.jsonl`.
#[derive(Debug)]
pub struct AttemptOutput {
    /// The notebook with the outputs of its cells, as the text of an `.ipynb` file.
    pub notebook: String,
    /// Why the attempt failed, if it did.
    pub failure: Option<FailureReason>,
    /// The error of the cell that failed.
    pub error: Option<CellError>,
    /// Names of the recorded frames.
    pub frames: Vec<String>,
    /// How many cells ran to their end without an error.
    pub finished_cells: usize,
}

/// Reads the output of an attempt whose process has ended.
///
/// # Errors
/// When the events cannot be read, or the notebook cannot be written as JSON.
pub fn collect_output(
    folder: &Path,
    exit_status: &ExitStatus,
    notebook: &Notebook,
    parameters: &[Parameter],
    given: &Assignment,
) -> Result<AttemptOutput, RunnerError> {
    let mut summary = EventSummary::default();
    let mut executed = ExecutedNotebook::new(notebook);
    let path = folder.join("events.jsonl");
    let read = read_events(&path, |event| {
        summary.add(&event);
        executed.apply(event);
    });
    // A program that died before its first event leaves no file; its exit status says why it died.
    if let Err(error) = read
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(RunnerError::Read {
            path,
            reason: error.to_string(),
        });
    }
    let exit_failure = failure_of_exit_status(exit_status, summary.running);
    if exit_failure.is_none() {
        // The program reported success, so the error is that of a last cell that may raise one.
        summary.error = None;
    }
    let failure = match &summary.error {
        Some((cell, error)) => Some(failure_of_cell_error(*cell, error)),
        None => exit_failure,
    };
    if let (None, Some(failure)) = (&summary.error, &failure) {
        executed.push_error(error_of_program(failure));
    }
    let notebook = executed
        .finish(notebook, parameters, given)
        .map_err(|error| RunnerError::Write {
            path: folder.join("out.ipynb"),
            source: std::io::Error::other(error.to_string()),
        })?;
    Ok(AttemptOutput {
        notebook,
        failure,
        error: summary.error.map(|(_, error)| error),
        frames: summary.frames,
        finished_cells: summary.finished_cells,
    })
}

/// An end that the program could not report itself, shown as an error of the cell that was running.
fn error_of_program(failure: &FailureReason) -> CellError {
    CellError::new("program ended", failure.to_string())
}
