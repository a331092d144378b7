use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use offmodel_events::capture::Capture;
use offmodel_events::{CellError, Event, emit, interrupt, sink};
use tokio::runtime::Runtime;

use super::Raised;

/// The file that evcxr compiles; a panic located in it happened in the user's own code.
const CELL_FILE: &str = "src/lib.rs";

static PANIC: Mutex<Option<PanicReport>> = Mutex::new(None);

/// How a cell's statements ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// To the end; the variables they leave are stored.
    Finished,
    /// By `?` or a panic; the error was emitted.
    Failed,
}

impl Outcome {
    /// Whether variables that the cell replaced should be put back.
    pub fn failed(self) -> bool {
        self == Self::Failed
    }
}

struct PanicReport {
    message: String,
    place: Option<(String, u32)>,
}

/// Prepares the child process: event pipe, interrupt flag, panic reports, fonts for plotters.
/// Called once.
pub fn initialize() {
    offmodel_analysis::register_plotters_fonts();
    sink::install_from_environment();
    interrupt::install_handler();
    std::panic::set_hook(Box::new(remember_panic));
}

/// Runs a cell's statements with output captured; a panic or a failed `?` becomes an
/// [`Event::Error`].
///
/// `marker_line` is the line of the generated source just above the first line of the cell.
/// The [`Event::CellFinished`] at the end tells the session that all events have been sent.
pub fn run(
    execution: usize,
    marker_line: u32,
    statements: impl FnOnce() -> Result<(), Raised>,
) -> Outcome {
    let started = Instant::now();
    let outcome = run_captured(marker_line, statements);
    emit(&Event::CellFinished {
        cell: execution,
        seconds: started.elapsed().as_secs_f64(),
        succeeded: outcome == Outcome::Finished,
    });
    outcome
}

fn run_captured(marker_line: u32, statements: impl FnOnce() -> Result<(), Raised>) -> Outcome {
    interrupt::clear();
    let capture = Capture::start();
    let ended = catch_unwind(AssertUnwindSafe(statements));
    if let Ok(capture) = capture {
        capture.finish();
    }
    let error = match ended {
        Ok(Ok(())) => return Outcome::Finished,
        Ok(Err(raised)) => raised_error(raised, marker_line),
        Err(_) => panic_error(marker_line),
    };
    emit(&Event::Error { error });
    Outcome::Failed
}

/// Runs a future of a cell that uses `.await` on the session's tokio runtime.
///
/// # Errors
/// What the future gives, or that the runtime could not be started.
pub fn block_on<F>(future: F) -> Result<(), Raised>
where
    F: Future<Output = Result<(), Raised>>,
{
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = match RUNTIME.get() {
        Some(runtime) => runtime,
        None => {
            let runtime = Runtime::new()?;
            RUNTIME.get_or_init(|| runtime)
        }
    };
    runtime.block_on(future)
}

fn remember_panic(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned());
    let message = without_native_frames(&message).to_owned();
    let place = info
        .location()
        .map(|location| (crate_file(location.file()).to_owned(), location.line()));
    let on_main_thread = std::thread::current()
        .name()
        .is_none_or(|name| name == "main");
    if !on_main_thread {
        eprintln!("a thread panicked: {message}");
    }
    *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(PanicReport { message, place });
}

fn raised_error(raised: Raised, marker_line: u32) -> CellError {
    let mut error = raised.error;
    error.line = cell_line(raised.source_line, marker_line);
    if let Some(line) = error.line {
        error
            .traceback
            .insert(0, format!("`?` failed at line {line} of the cell"));
    }
    error
}

fn panic_error(marker_line: u32) -> CellError {
    let report = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
    let report = report.unwrap_or_else(|| PanicReport {
        message: "panicked without a message".to_owned(),
        place: None,
    });
    let line = report
        .place
        .as_ref()
        .filter(|(file, _)| file == CELL_FILE)
        .and_then(|(_, line)| cell_line(*line, marker_line));
    let place = match (&report.place, line) {
        (_, Some(line)) => format!("panicked at line {line} of the cell"),
        (Some((file, line)), None) => format!("panicked at {file}:{line}"),
        (None, None) => "panicked".to_owned(),
    };
    CellError {
        name: "panic".to_owned(),
        value: report.message.clone(),
        traceback: vec![
            place,
            format!("\u{1b}[1;31mpanic\u{1b}[0m: {}", report.message),
        ],
        line,
    }
}

/// A libtorch error without the C++ backtrace behind its message, also inside a `Debug` string.
pub(super) fn without_native_frames(message: &str) -> &str {
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

fn cell_line(source_line: u32, marker_line: u32) -> Option<usize> {
    source_line
        .checked_sub(marker_line)
        .filter(|&line| line > 0)
        .map(|line| line as usize)
}
