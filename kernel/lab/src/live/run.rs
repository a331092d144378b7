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
use crate::cell_errors::{self, NotebookPlace};

/// The source file of every cell that evcxr compiles, relative to its folder.
const CELL_FILE: &str = "src/lib.rs";
/// The environment variable in which evcxr gives its folder.
const EVCXR_FOLDER_VARIABLE: &str = "EVCXR_TMPDIR";

/// How the statements of a cell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellOutcome {
    /// The statements ran to the end and stored their outgoing variables.
    Finished,
    /// A `?` or a panic ended the statements; its error has been emitted.
    Failed,
}

impl CellOutcome {
    /// Whether the session should restore the variables that the cell replaced.
    pub fn failed(self) -> bool {
        self == Self::Failed
    }
}

/// Prepares the child process: device, fonts for plotters, event pipe, interrupt flag and panic
/// hook. Called once.
pub fn initialize() {
    // Loads libtorch's CUDA library. libtorch looks for it once, at the first use of CUDA, which may
    // be in a cell.
    let _ = Device::best();
    offmodel_analysis::register_plotters_fonts();
    sink::install_from_environment();
    interrupt::install_handler();
    cell_errors::install_panic_hook();
}

/// Runs a cell's statements with output captured; a panic or a failed `?` becomes an
/// [`Event::Error`].
///
/// `marker_line` is the line of the generated source just above the first line of the cell. The
/// closing [`Event::CellFinished`] marks the end of the cell's events for the session.
pub fn run(
    execution: usize,
    marker_line: u32,
    statements: impl FnOnce() -> Result<(), Raised>,
) -> CellOutcome {
    let started = Instant::now();
    let outcome = run_captured(marker_line, statements);
    emit(&Event::CellFinished {
        cell: execution,
        seconds: started.elapsed().as_secs_f64(),
        succeeded: outcome == CellOutcome::Finished,
    });
    outcome
}

fn run_captured(marker_line: u32, statements: impl FnOnce() -> Result<(), Raised>) -> CellOutcome {
    interrupt::clear();
    // Without descriptors or threads to spare, the cell runs uncaptured.
    let capture = Capture::start();
    let ended = catch_unwind(AssertUnwindSafe(statements));
    if let Ok(capture) = capture {
        capture.finish();
    }
    let error = match ended {
        Ok(Ok(())) => return CellOutcome::Finished,
        Ok(Err(raised)) => {
            let line = cell_line(raised.source_line, marker_line);
            cell_errors::question_mark_error(raised, line)
        }
        Err(_) => cell_errors::panic_error(|file, line| match cell_line(line, marker_line) {
            _ if !is_cell_file(file) => NotebookPlace::Outside,
            Some(line) => NotebookPlace::RunningCell { line },
            // Above the marker are the items of this cell and of earlier ones.
            None => NotebookPlace::Generated { line },
        }),
    };
    emit(&Event::Error { error });
    CellOutcome::Failed
}

/// Runs the future of a cell that uses `.await` on the session's tokio runtime.
///
/// # Errors
/// The error of the future, or that of starting the runtime.
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

/// Whether `file` is the source of a cell. Panic locations have the path given to rustc, which is
/// relative; debugging information has the absolute one.
fn is_cell_file(file: &Path) -> bool {
    let is_in_evcxr_folder =
        || std::env::var_os(EVCXR_FOLDER_VARIABLE).is_some_and(|folder| file.starts_with(folder));
    file == Path::new(CELL_FILE) || file.ends_with(CELL_FILE) && is_in_evcxr_folder()
}

fn cell_line(source_line: u32, marker_line: u32) -> Option<usize> {
    source_line
        .checked_sub(marker_line)
        .filter(|&line| line > 0)
        .map(|line| line as usize)
}
