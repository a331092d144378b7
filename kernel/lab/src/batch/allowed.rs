//! Cells tagged `raises-exception`: their errors are shown, those of the compiler included, and the
//! notebook goes on.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use offmodel_events::{CellError, interrupt};

use super::{Notebook, attempt, cells};
use crate::live::Raised;

/// Runs the statements of a cell that may fail.
///
/// # Errors
/// Only when the program was asked to stop, which is no error of the cell.
pub fn allow(
    notebook: &'static Notebook,
    cell: impl FnOnce() -> Result<(), Raised>,
) -> Result<(), Raised> {
    go_on(notebook, catch_unwind(AssertUnwindSafe(cell)))
}

/// As [`allow`], for a cell that uses `.await`.
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
    go_on(notebook, ended)
}

/// Stands for the statements of a cell that may fail and did not compile: shows what the live
/// kernel would.
pub fn refuse(value: &str, traceback: &[&str], line: Option<usize>) {
    let error = CellError::new("compile error", value)
        .with_traceback(traceback.iter().copied())
        .at_line(line);
    cells::fail_and_go_on(error);
}

fn go_on(
    notebook: &'static Notebook,
    ended: std::thread::Result<Result<(), Raised>>,
) -> Result<(), Raised> {
    let Some(error) = attempt::error_of(notebook, ended) else {
        return Ok(());
    };
    if interrupt::check().is_err() {
        return Err(Raised {
            error,
            // Already told in lines of the cell.
            source_line: 0,
        });
    }
    cells::fail_and_go_on(error);
    Ok(())
}
