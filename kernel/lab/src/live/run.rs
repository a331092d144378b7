use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use offmodel_events::capture::Capture;
use offmodel_events::{Event, emit, interrupt, sink};
use offmodel_models::BestDevice;
use tch::Device;
use tokio::runtime::Runtime;

use super::Raised;
use crate::failures::{self, Located};

/// The file that evcxr compiles; a panic located in it happened in the user's own code.
const CELL_FILE: &str = "src/lib.rs";
/// evcxr's own variable for the folder that the file is in.
const FOLDER_VARIABLE: &str = "EVCXR_TMPDIR";

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

/// Prepares the child process: event pipe, interrupt flag, panic reports, fonts for plotters.
/// Called once.
pub fn initialize() {
    // libtorch keeps what it first finds, so that its CUDA library must be there before any cell.
    let _ = Device::best();
    offmodel_analysis::register_plotters_fonts();
    sink::install_from_environment();
    interrupt::install_handler();
    failures::install_panic_hook();
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
        Ok(Err(raised)) => {
            let line = cell_line(raised.source_line, marker_line);
            failures::raised(raised, line)
        }
        Err(_) => failures::panicked(|file, line| match cell_line(line, marker_line) {
            _ if !is_cell_file(file) => Located::Elsewhere,
            Some(line) => Located::Running { line },
            // An item: of this cell or of an earlier one.
            None => Located::Generated { line },
        }),
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

/// Panics name the file as the compiler was given it, debugging information with its folder.
fn is_cell_file(file: &Path) -> bool {
    file == Path::new(CELL_FILE)
        || file.ends_with(CELL_FILE)
            && std::env::var_os(FOLDER_VARIABLE).is_some_and(|folder| file.starts_with(folder))
}

fn cell_line(source_line: u32, marker_line: u32) -> Option<usize> {
    source_line
        .checked_sub(marker_line)
        .filter(|&line| line > 0)
        .map(|line| line as usize)
}
