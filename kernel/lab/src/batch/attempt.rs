//! One attempt, in this process.

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

use super::{Notebook, cells, parameters};
use crate::failures::{self, Located};
use crate::live::Raised;

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// What keeps an attempt from beginning.
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

/// Runs the attempt described by `spec.json` in `folder` and gives its exit code.
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
        // An executed notebook with holes in it must not pass for a whole one.
        exit_code::SUCCESS if sink::events_lost() => exit_code::EVENTS_LOST,
        code => code,
    }
}

/// Runs with default parameters; displays and errors are printed.
pub(super) fn run_plainly(notebook: &'static Notebook, cells: fn() -> Result<(), Raised>) -> i32 {
    cells::print_plainly();
    run_cells(notebook, cells)
}

/// The folder of the attempt that this process runs, if it runs one.
pub(super) fn folder() -> Option<&'static Path> {
    FOLDER.get().map(PathBuf::as_path)
}

/// Ends the process at once, with output flushed.
pub(super) fn exit(code: i32) -> ! {
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // SAFETY: flushing all C streams, then leaving; neither touches Rust's memory.
    unsafe {
        libc::fflush(std::ptr::null_mut());
        libc::_exit(code)
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
    failures::install_panic_hook();
    // Before any cell asks for CUDA, and after the fork: a context does not survive one.
    let _ = Device::best();
    let error = match error_of(notebook, catch_unwind(AssertUnwindSafe(cells))) {
        Some(error) => error,
        None => match cells::unfinished(notebook) {
            None => return exit_code::SUCCESS,
            Some(cell) => returned_early(cell),
        },
    };
    cells::fail(error);
    exit_code::CELL_FAILED
}

/// The error, in lines of the cell, with which statements of the notebook ended, if they did.
pub(super) fn error_of(
    notebook: &Notebook,
    ended: std::thread::Result<Result<(), Raised>>,
) -> Option<CellError> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(raised)) => {
            let place = notebook.place(raised.source_line as usize);
            Some(failures::raised(raised, place.map(|(_, line)| line)))
        }
        Err(_) => Some(failures::panicked(|file, line| {
            let place = file
                .ends_with(notebook.file)
                .then(|| notebook.place(line as usize))
                .flatten();
            match place {
                None => Located::Elsewhere,
                Some((cell, line)) if Some(cell) == cells::running() => Located::Running { line },
                Some((cell, line)) => Located::Other { cell, line },
            }
        })),
    }
}

/// A scheduler asks with SIGTERM what Ctrl-C asks with SIGINT.
fn interrupt_on_termination() {
    extern "C" fn on_termination(_signal: libc::c_int) {
        interrupt::request();
    }
    let handler = on_termination as extern "C" fn(libc::c_int);
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
}

/// A `return` in a cell would end all later cells without a word.
fn returned_early(cell: usize) -> CellError {
    let value = format!(
        "cell {cell} left the notebook by `return`, so that the cells after it did not run; use `if` or a block"
    );
    CellError::new("return", value)
}
