//! The borders of cells in a running program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use offmodel_events::capture::Capture;
use offmodel_events::{CellError, Event, Interrupted, emit, interrupt};

use super::Notebook;

static STATE: Mutex<State> = Mutex::new(State {
    running: None,
    finished: 0,
});
static PLAIN: AtomicBool = AtomicBool::new(false);

struct State {
    running: Option<Running>,
    /// The last cell that ended well.
    finished: usize,
}

struct Running {
    cell: usize,
    started: Instant,
    /// `None` if the program prints to its own standard output.
    capture: Option<Capture>,
}

/// A cell begins: what is printed from here on belongs to it.
///
/// # Errors
/// When the program was asked to stop.
pub fn begin(cell: usize) -> Result<(), Interrupted> {
    interrupt::check()?;
    emit(&Event::CellStarted { cell });
    // Out of descriptors or threads: the cell runs, its text goes where the program's goes.
    let capture = if PLAIN.load(Ordering::Relaxed) {
        None
    } else {
        Capture::start().ok()
    };
    state().running = Some(Running {
        cell,
        started: Instant::now(),
        capture,
    });
    Ok(())
}

/// The cell that began last ended, well unless it already failed and may do so.
pub fn end() {
    finish(None);
}

/// The cell that runs ended with an error.
pub(super) fn fail(error: CellError) {
    finish(Some(error));
}

/// The cell that runs ended with an error that it may have: the next one begins all the same.
pub(super) fn fail_and_go_on(error: CellError) {
    let cell = running();
    finish(Some(error));
    if let Some(cell) = cell {
        state().finished = cell;
    }
}

/// Leaves standard output alone from now on.
pub(super) fn print_plainly() {
    PLAIN.store(true, Ordering::Relaxed);
}

/// The cell that runs.
pub(super) fn running() -> Option<usize> {
    state().running.as_ref().map(|running| running.cell)
}

/// The cell in which the notebook was left before its end.
pub(super) fn unfinished(notebook: &Notebook) -> Option<usize> {
    let state = state();
    match &state.running {
        Some(running) => Some(running.cell),
        None => (state.finished != notebook.last_cell()).then_some(state.finished),
    }
}

fn finish(error: Option<CellError>) {
    let running = state().running.take();
    let succeeded = error.is_none();
    let Some(Running {
        cell,
        started,
        capture,
    }) = running
    else {
        // Between two cells, only an interruption can fail; a cell that may fail has ended.
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
        state().finished = cell;
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
