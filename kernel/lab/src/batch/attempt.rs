//! One attempt of a trial, run in this process.

use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use offmodel_events::batch::{SPEC_VERSION, exit_code};
use offmodel_events::{CellError, interrupt, sink};
use offmodel_models::BestDevice;
use serde_json::{Map, Value};
use tch::Device;

use super::{Notebook, cell_boundary, parameters};
use crate::cell_errors::{self, NotebookPlace};
use crate::live::Raised;

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Why an attempt could not start.
#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error("failed to read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("failed to read {}: {reason}", path.display())]
    Spec { path: PathBuf, reason: String },
    #[error("failed to create {}: {source}", path.display())]
    Events {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// Runs the attempt described by `spec.json` in `folder` and returns the exit code.
pub(super) fn run(
    folder: &Path,
    notebook: &'static Notebook,
    cells: fn() -> Result<(), Raised>,
) -> i32 {
    if let Err(error) = prepare(folder) {
        eprintln!("error: {error}");
        return exit_code::RUNTIME_FAILED;
    }
    match run_cells(notebook, cells) {
        // An executed notebook with missing outputs must not pass for a complete one.
        exit_code::SUCCESS if sink::events_lost() => exit_code::EVENTS_LOST,
        code => code,
    }
}

/// Runs the notebook with its default parameters and prints displays and errors.
pub(super) fn run_standalone(
    notebook: &'static Notebook,
    cells: fn() -> Result<(), Raised>,
) -> i32 {
    cell_boundary::disable_capture();
    run_cells(notebook, cells)
}

/// The folder of the attempt that this process runs; none if it runs standalone or live.
pub(super) fn folder() -> Option<&'static Path> {
    FOLDER.get().map(PathBuf::as_path)
}

/// Flushes all output and ends the process without running destructors.
pub(super) fn exit(code: i32) -> ! {
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // SAFETY: flushes all C streams and exits; neither accesses Rust's memory.
    unsafe {
        libc::fflush(std::ptr::null_mut());
        libc::_exit(code)
    }
}

/// The error with which statements of the notebook ended, if any, with its line in the cell.
pub(super) fn error_of(
    notebook: &Notebook,
    ended: std::thread::Result<Result<(), Raised>>,
) -> Option<CellError> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(raised)) => {
            let place = notebook.place(raised.source_line as usize);
            let line = place.map(|(_, line)| line);
            Some(cell_errors::question_mark_error(raised, line))
        }
        Err(_) => Some(cell_errors::panic_error(|file, line| {
            let place = file
                .ends_with(notebook.file)
                .then(|| notebook.place(line as usize))
                .flatten();
            match place {
                None => NotebookPlace::Outside,
                Some((cell, line)) if Some(cell) == cell_boundary::running() => {
                    NotebookPlace::RunningCell { line }
                }
                Some((cell, line)) => NotebookPlace::OtherCell { cell, line },
            }
        })),
    }
}

fn prepare(folder: &Path) -> Result<(), PrepareError> {
    let path = folder.join("spec.json");
    let text = std::fs::read_to_string(&path).map_err(|source| PrepareError::Read {
        path: path.clone(),
        source,
    })?;
    let given = given_parameters(&text).map_err(|reason| PrepareError::Spec { path, reason })?;
    let path = folder.join("events.jsonl");
    let events = File::create(&path).map_err(|source| PrepareError::Events { path, source })?;
    sink::install(events);
    parameters::install(given);
    let _ = FOLDER.set(folder.to_owned());
    Ok(())
}

fn given_parameters(text: &str) -> Result<Map<String, Value>, String> {
    let spec: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match spec.get("version").and_then(Value::as_u64) {
        Some(SPEC_VERSION) => {}
        Some(other) => return Err(format!("version {other}, expected {SPEC_VERSION}")),
        None => return Err("no version".to_owned()),
    }
    match spec.get("parameters") {
        Some(Value::Object(parameters)) => Ok(parameters.clone()),
        _ => Err("no parameters".to_owned()),
    }
}

fn run_cells(notebook: &'static Notebook, cells: fn() -> Result<(), Raised>) -> i32 {
    interrupt::install_handler();
    interrupt_on_termination();
    cell_errors::install_panic_hook();
    // Loads libtorch's CUDA library: before any cell, because libtorch looks for it only once, and
    // after the fork, because a CUDA context does not survive one.
    let _ = Device::best();
    let error = match error_of(notebook, catch_unwind(AssertUnwindSafe(cells))) {
        Some(error) => error,
        None => match cell_boundary::left_early(notebook) {
            None => return exit_code::SUCCESS,
            Some(cell) => early_return_error(cell),
        },
    };
    cell_boundary::fail(error);
    exit_code::CELL_FAILED
}

/// Treats SIGTERM, which schedulers send to stop a job, like SIGINT.
fn interrupt_on_termination() {
    extern "C" fn on_termination(_signal: libc::c_int) {
        interrupt::request();
    }
    let handler = on_termination as extern "C" fn(libc::c_int);
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
}

/// The error for a `return` in a cell, which would otherwise skip all later cells silently.
fn early_return_error(cell: usize) -> CellError {
    CellError::new(
        "return",
        format!(
            "cell {cell} left the notebook by `return`, so that the cells after it did not run; use `if` or a block"
        ),
    )
}
