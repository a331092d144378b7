//! Panics and failed `?` as errors of the cell that runs, live and in batch.

use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use offmodel_events::{CellError, interrupt};

use crate::live::Raised;
use crate::user_frames::{UserFrame, user_frames};

static PANIC: Mutex<Option<Panic>> = Mutex::new(None);

struct Panic {
    message: String,
    /// File and line.
    place: Option<(String, u32)>,
    /// Innermost first.
    frames: Vec<UserFrame>,
}

/// What a line of a source file is to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Located {
    /// A line of the running cell.
    Running { line: usize },
    /// A line of another cell.
    Other { cell: usize, line: usize },
    /// A line of generated source, which only the session can tell the cell of.
    Generated { line: u32 },
    /// No user's code.
    Elsewhere,
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
    let panic = Panic {
        message,
        place,
        frames: user_frames(),
    };
    *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
}

/// The error of the last panic; `locate` knows the lines of generated source files.
pub(crate) fn panicked(locate: impl Fn(&Path, u32) -> Located) -> CellError {
    let panic = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
    let panic = panic.unwrap_or_else(|| Panic {
        message: "panicked without a message".to_owned(),
        place: None,
        frames: Vec::new(),
    });
    let place = panic
        .place
        .as_ref()
        .map(|(file, line)| (locate(Path::new(file), *line), file, *line));
    let mut traceback = vec![match place {
        Some((Located::Running { line }, ..)) => format!("panicked at line {line} of the cell"),
        Some((Located::Other { cell, line }, ..)) => {
            format!("panicked at line {line} of cell {cell}")
        }
        Some((_, file, line)) => format!("panicked at {file}:{line}"),
        None => "panicked".to_owned(),
    }];
    let mut line = match place {
        Some((Located::Running { line }, ..)) => Some(line),
        _ => None,
    };
    let mut last = place.map(|(located, ..)| located);
    for frame in &panic.frames {
        let located = locate(&frame.file, frame.line);
        // The innermost frame is often the place of the panic itself.
        let is_told = Some(located) == last && !frame.is_older;
        if is_told || located == Located::Elsewhere {
            continue;
        }
        if let (Located::Running { line: of_frame }, false) = (located, frame.is_older) {
            line = line.or(Some(of_frame));
        }
        traceback.extend(called(frame, located));
        last = Some(located);
    }
    // A library that has no other way to stop panics when it is interrupted.
    let interrupted = interrupt::check().is_err();
    let name = if interrupted { "Interrupted" } else { "panic" };
    traceback.push(format!("\u{1b}[1;31m{name}\u{1b}[0m: {}", panic.message));
    CellError::new(name, panic.message)
        .with_traceback(traceback)
        .at_line(line)
}

/// A line of the traceback.
fn called(frame: &UserFrame, located: Located) -> Option<String> {
    let function = &frame.function;
    match located {
        Located::Elsewhere => None,
        _ if frame.is_older => Some(format!("  called in `{function}` of an earlier cell")),
        Located::Running { line } => Some(format!("  called at line {line} of the cell")),
        Located::Other { cell, line } => Some(format!(
            "  called in `{function}`, line {line} of cell {cell}"
        )),
        Located::Generated { line } => Some(format!("  called at src/lib.rs:{line}")),
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
