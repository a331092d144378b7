//! Cells tagged `raises-exception`: their errors, including compile errors, are shown, and the
//! notebook continues.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use offmodel_events::{CellError, interrupt};

use super::{Notebook, attempt, cell_boundary};
use crate::live::Raised;

/// Runs the statements of a cell whose error does not end the notebook.
///
/// # Errors
/// Only when the program was interrupted, which always ends the notebook.
pub fn allow(
    notebook: &'static Notebook,
    cell: impl FnOnce() -> Result<(), Raised>,
) -> Result<(), Raised> {
    show_error(notebook, catch_unwind(AssertUnwindSafe(cell)))
}

/// Does the same as [`allow`] for a cell that uses `.await`.
///
/// # Errors
/// As [`allow`].
pub async fn allow_async(
    notebook: &'static Notebook,
    cell: impl Future<Output = Result<(), Raised>>,
) -> Result<(), Raised> {
    let mut cell = pin!(cell);
    let ended = poll_fn(|context| {
        // A future that panicked is not polled again.
        match catch_unwind(AssertUnwindSafe(|| cell.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(ended)) => Poll::Ready(Ok(ended)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await;
    show_error(notebook, ended)
}

/// Shows the compile error of a cell, as the live kernel would, in place of the statements that do
/// not compile.
pub fn refuse(value: &str, traceback: &[&str], line: Option<usize>) {
    let error = CellError::new("compile error", value)
        .with_traceback(traceback.iter().copied())
        .at_line(line);
    cell_boundary::fail_and_continue(error);
}

fn show_error(
    notebook: &'static Notebook,
    ended: std::thread::Result<Result<(), Raised>>,
) -> Result<(), Raised> {
    let Some(error) = attempt::error_of(notebook, ended) else {
        return Ok(());
    };
    if interrupt::check().is_err() {
        return Err(Raised {
            error,
            // The error already names its line in the cell; 0 is in no cell.
            source_line: 0,
        });
    }
    cell_boundary::fail_and_continue(error);
    Ok(())
}
