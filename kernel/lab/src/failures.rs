//! Panics and failed `?` as errors of the cell that runs, live and in batch.

use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

use offmodel_events::{CellError, interrupt};

use crate::live::Raised;

static PANIC: Mutex<Option<Panic>> = Mutex::new(None);

struct Panic {
    message: String,
    /// File and line.
    place: Option<(String, u32)>,
}

/// Remembers panics of the main thread, which runs the cells; those of other threads are printed,
/// into the output of the cell.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(remember));
}

fn remember(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned());
    let message = without_native_frames(&message).to_owned();
    let thread = std::thread::current();
    if thread.name().is_some_and(|name| name != "main") {
        eprintln!("a thread panicked: {message}");
        return;
    }
    let place = info
        .location()
        .map(|location| (crate_file(location.file()).to_owned(), location.line()));
    *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(Panic { message, place });
}

/// The error of the last panic; `cell_line` knows the lines of the cell's source file.
pub(crate) fn panicked(cell_line: impl FnOnce(&str, u32) -> Option<usize>) -> CellError {
    let panic = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
    let panic = panic.unwrap_or_else(|| Panic {
        message: "panicked without a message".to_owned(),
        place: None,
    });
    let line = panic
        .place
        .as_ref()
        .and_then(|(file, line)| cell_line(file, *line));
    let place = match (&panic.place, line) {
        (_, Some(line)) => format!("panicked at line {line} of the cell"),
        (Some((file, line)), None) => format!("panicked at {file}:{line}"),
        (None, None) => "panicked".to_owned(),
    };
    // A library that has no other way to stop panics when it is interrupted.
    let interrupted = interrupt::check().is_err();
    let name = if interrupted { "Interrupted" } else { "panic" };
    CellError {
        name: name.to_owned(),
        traceback: vec![
            place,
            format!("\u{1b}[1;31m{name}\u{1b}[0m: {}", panic.message),
        ],
        value: panic.message,
        line,
    }
}

/// The error behind a failed `?` in line `line` of the cell.
pub(crate) fn raised(raised: Raised, line: Option<usize>) -> CellError {
    let mut error = raised.error;
    error.line = line;
    if let Some(line) = line {
        let place = format!("`?` failed at line {line} of the cell");
        error.traceback.insert(0, place);
    }
    error
}

/// A libtorch error without the C++ backtrace behind its message, also inside a `Debug` string.
pub(crate) fn without_native_frames(message: &str) -> &str {
    let end = ["\nException raised from", "\\nException raised from"]
        .iter()
        .filter_map(|start| message.find(start))
        .min()
        .unwrap_or(message.len());
    &message[..end]
}

/// The path of a dependency's source file from its crate's name on.
fn crate_file(file: &str) -> &str {
    let in_registry = file.split_once("/registry/src/").map(|(_, rest)| rest);
    in_registry
        .and_then(|rest| rest.split_once('/'))
        .map_or(file, |(_, rest)| rest)
}
