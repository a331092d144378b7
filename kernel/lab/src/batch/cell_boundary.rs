//! The start and end of cells in a running program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use offmodel_events::capture::Capture;
use offmodel_events::{CellError, Event, Interrupted, emit, interrupt};

use super::Notebook;

static STATE: Mutex<State> = Mutex::new(State {
    running: None,
    last_finished: 0,
});
static CAPTURE_DISABLED: AtomicBool = AtomicBool::new(false);

struct State {
    running: Option<RunningCell>,
    /// The last cell that ended without an error, or with one that its tag allows.
    last_finished: usize,
}

struct RunningCell {
    cell: usize,
    started: Instant,
    /// None if the program's own standard output is used.
    capture: Option<Capture>,
}

/// Begins a cell: output belongs to it from here on.
///
/// # Errors
/// When the program was interrupted.
pub fn begin(cell: usize) -> Result<(), Interrupted> {
    interrupt::check()?;
    emit(&Event::CellStarted { cell });
    let capture = if CAPTURE_DISABLED.load(Ordering::Relaxed) {
        None
    } else {
        // Without descriptors or threads to spare, the cell runs and its text goes where the
        // program's goes.
        Capture::start().ok()
    };
    state().running = Some(RunningCell {
        cell,
        started: Instant::now(),
        capture,
    });
    Ok(())
}

/// Ends the running cell. Does nothing for a cell that has ended with an allowed error.
pub fn end() {
    finish(None);
}

/// Ends the running cell with an error.
pub(super) fn fail(error: CellError) {
    finish(Some(error));
}

/// Ends the running cell with an error that its tag `raises-exception` allows, so that the next
/// cell still begins.
pub(super) fn fail_and_continue(error: CellError) {
    let cell = running();
    finish(Some(error));
    if let Some(cell) = cell {
        state().last_finished = cell;
    }
}

/// Leaves standard output and standard error of all later cells uncaptured.
pub(super) fn disable_capture() {
    CAPTURE_DISABLED.store(true, Ordering::Relaxed);
}

/// The number of the running cell.
pub(super) fn running() -> Option<usize> {
    state().running.as_ref().map(|running| running.cell)
}

/// The cell that left the notebook before its last cell ended, if one did.
pub(super) fn left_early(notebook: &Notebook) -> Option<usize> {
    let state = state();
    match &state.running {
        Some(running) => Some(running.cell),
        None => (state.last_finished != notebook.last_cell()).then_some(state.last_finished),
    }
}

fn finish(error: Option<CellError>) {
    let running = state().running.take();
    let succeeded = error.is_none();
    let Some(RunningCell {
        cell,
        started,
        capture,
    }) = running
    else {
        // No cell runs: `end` of a cell with an allowed error, or an interrupt between two cells.
        if let Some(error) = error {
            emit(&Event::Error { error });
        }
        return;
    };
    if let Some(capture) = capture {
        capture.finish();
    }
    if let Some(error) = error {
        emit(&Event::Error { error });
    }
    emit(&Event::CellFinished {
        cell,
        seconds: started.elapsed().as_secs_f64(),
        succeeded,
    });
    if succeeded {
        state().last_finished = cell;
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
