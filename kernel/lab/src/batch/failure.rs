//! Panics and failed `?` as errors of the cell that runs.

use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

use offmodel_events::{CellError, interrupt};

use super::Notebook;
use crate::live::Raised;

static PANIC: Mutex<Option<PanicReport>> = Mutex::new(None);

struct PanicReport {
    message: String,
    place: Option<(String, u32)>,
}

/// Remembers panics of the main thread; those of other threads are printed, into the output of
/// the cell.
pub(super) fn install_panic_hook() {
    std::panic::set_hook(Box::new(remember));
}

fn remember(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned());
    if std::thread::current()
        .name()
        .is_some_and(|name| name != "main")
    {
        eprintln!("a thread panicked: {message}");
        return;
    }
    let place = info
        .location()
        .map(|location| (location.file().to_owned(), location.line()));
    *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(PanicReport { message, place });
}

/// The error of the last panic.
pub(super) fn panicked(notebook: &Notebook) -> CellError {
    let report = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
    let report = report.unwrap_or_else(|| PanicReport {
        message: "panicked without a message".to_owned(),
        place: None,
    });
    let line = report
        .place
        .as_ref()
        .filter(|(file, _)| file == notebook.file)
        .and_then(|(_, line)| notebook.cell_line(*line as usize));
    let place = match (&report.place, line) {
        (_, Some(line)) => format!("panicked at line {line} of the cell"),
        (Some((file, line)), None) => format!("panicked at {file}:{line}"),
        (None, None) => "panicked".to_owned(),
    };
    // A library that has no other way to stop panics when it is interrupted.
    let name = if interrupt::check().is_err() {
        "Interrupted"
    } else {
        "panic"
    };
    CellError {
        name: name.to_owned(),
        traceback: vec![
            place,
            format!("\u{1b}[1;31m{name}\u{1b}[0m: {}", report.message),
        ],
        value: report.message,
        line,
    }
}

/// The error behind a failed `?`, with its line in the cell.
pub(super) fn raised(raised: Raised, notebook: &Notebook) -> CellError {
    let mut error = raised.error;
    error.line = notebook.cell_line(raised.source_line as usize);
    if let Some(line) = error.line {
        error
            .traceback
            .insert(0, format!("`?` failed at line {line} of the cell"));
    }
    error
}

/// A `return` in a cell would end all later cells without a word.
pub(super) fn returned_early(cell: usize) -> CellError {
    let value = format!(
        "cell {cell} left the notebook by `return`, so that the cells after it did not run; use `if` or a block"
    );
    CellError {
        name: "return".to_owned(),
        traceback: vec![value.clone()],
        value,
        line: None,
    }
}
