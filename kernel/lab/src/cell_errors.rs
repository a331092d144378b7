//! Panics and failed `?` as [`CellError`]s, live and in batch.

use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use offmodel_events::{CellError, interrupt};

use crate::cell_frames::{CellFrame, cell_frames};
use crate::live::Raised;

static LAST_PANIC: Mutex<Option<Panic>> = Mutex::new(None);

struct Panic {
    message: String,
    /// File and line.
    location: Option<(String, u32)>,
    /// Innermost first.
    frames: Vec<CellFrame>,
}

/// The place in the notebook that corresponds to a line of a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotebookPlace {
    /// A line of the running cell.
    RunningCell { line: usize },
    /// A line of another cell of the program.
    OtherCell { cell: usize, line: usize },
    /// A line of the source that the session generated; only the session can map it to a cell.
    Generated { line: u32 },
    /// The line belongs to a library.
    Outside,
}

/// Makes panics of the main thread, which runs the cells, available to [`panic_error`]. Panics of
/// other threads are printed to standard error, which is captured as output of the cell.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(record_panic));
}

/// The error of a cell for the last recorded panic; `locate` maps file and line to the notebook.
pub(crate) fn panic_error(locate: impl Fn(&Path, u32) -> NotebookPlace) -> CellError {
    let panic = LAST_PANIC
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let panic = panic.unwrap_or_else(|| Panic {
        message: "panicked without a message".to_owned(),
        location: None,
        frames: Vec::new(),
    });
    let location = panic
        .location
        .as_ref()
        .map(|(file, line)| (locate(Path::new(file), *line), file, *line));
    let mut traceback = vec![match location {
        Some((NotebookPlace::RunningCell { line }, ..)) => {
            format!("panicked at line {line} of the cell")
        }
        Some((NotebookPlace::OtherCell { cell, line }, ..)) => {
            format!("panicked at line {line} of cell {cell}")
        }
        Some((_, file, line)) => format!("panicked at {file}:{line}"),
        None => "panicked".to_owned(),
    }];
    let mut error_line = match location {
        Some((NotebookPlace::RunningCell { line }, ..)) => Some(line),
        _ => None,
    };
    let mut previous = location.map(|(place, ..)| place);
    for frame in &panic.frames {
        let place = locate(&frame.file, frame.line);
        // The innermost frame is often the location of the panic itself.
        let is_repeated = Some(place) == previous && !frame.is_older;
        if is_repeated || place == NotebookPlace::Outside {
            continue;
        }
        if let (NotebookPlace::RunningCell { line }, false) = (place, frame.is_older) {
            error_line = error_line.or(Some(line));
        }
        traceback.extend(traceback_line(frame, place));
        previous = Some(place);
    }
    // Some libraries can stop on an interrupt only by panicking.
    let interrupted = interrupt::check().is_err();
    let name = if interrupted { "Interrupted" } else { "panic" };
    traceback.push(format!("\u{1b}[1;31m{name}\u{1b}[0m: {}", panic.message));
    CellError::new(name, panic.message)
        .with_traceback(traceback)
        .at_line(error_line)
}

/// The error of a cell for a `?` that failed in line `line` of the cell.
pub(crate) fn question_mark_error(raised: Raised, line: Option<usize>) -> CellError {
    let mut error = raised.error;
    error.line = line;
    if let Some(line) = line {
        let place = format!("`?` failed at line {line} of the cell");
        error.traceback.insert(0, place);
    }
    error
}

/// The message of a libtorch error without the C++ backtrace behind it, also if the message is
/// quoted by `Debug`.
pub(crate) fn without_native_backtrace(message: &str) -> &str {
    let end = ["\nException raised from", "\\nException raised from"]
        .iter()
        .filter_map(|start| message.find(start))
        .min()
        .unwrap_or(message.len());
    &message[..end]
}

fn record_panic(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned());
    let message = without_native_backtrace(&message).to_owned();
    let thread = std::thread::current();
    if thread.name().is_some_and(|name| name != "main") {
        eprintln!("a thread panicked: {message}");
        return;
    }
    let location = info.location().map(|location| {
        let file = without_registry(location.file());
        (file.to_owned(), location.line())
    });
    let panic = Panic {
        message,
        location,
        frames: cell_frames(),
    };
    *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
}

fn traceback_line(frame: &CellFrame, place: NotebookPlace) -> Option<String> {
    let function = &frame.function;
    match place {
        NotebookPlace::Outside => None,
        _ if frame.is_older => Some(format!("  called in `{function}` of an earlier cell")),
        NotebookPlace::RunningCell { line } => Some(format!("  called at line {line} of the cell")),
        NotebookPlace::OtherCell { cell, line } => Some(format!(
            "  called in `{function}`, line {line} of cell {cell}"
        )),
        NotebookPlace::Generated { line } => Some(format!("  called at src/lib.rs:{line}")),
    }
}

/// The path of a dependency's source file, starting at the crate's name.
fn without_registry(file: &str) -> &str {
    let in_registry = file.split_once("/registry/src/").map(|(_, rest)| rest);
    in_registry
        .and_then(|rest| rest.split_once('/'))
        .map_or(file, |(_, rest)| rest)
}
