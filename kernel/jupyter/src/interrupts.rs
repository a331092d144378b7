//! Interrupting the running cell, and killing it if it does not stop.
//!
//! An interrupt is a request that the cell may not notice at once: it may still be compiled, or be
//! in code that does not check. It is therefore repeated. Killing costs the session's variables, so
//! it happens only if the cell has not stopped after [`KILL_TIMEOUT`], or if the user interrupts a
//! second time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jupyter_protocol::{JupyterMessage, StreamContent};
use offmodel_events::CellError;

use crate::language::Interrupter;
use crate::sockets::iopub::IoPub;

/// How often an interrupt is repeated until the cell has stopped.
const REPEAT_INTERVAL: Duration = Duration::from_millis(200);
/// How often code that waits for an interrupt looks for one.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// A cell that has not stopped this long after the interrupt is killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// A second interrupt kills the cell only if it comes this long after the first, so that a double
/// click does not cost the variables.
const MIN_SECOND_INTERRUPT_DELAY: Duration = Duration::from_secs(1);

/// Interrupts the running cell. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Interrupts(Arc<Shared>);

struct Shared {
    iopub: IoPub,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    interrupter: Option<Arc<dyn Interrupter>>,
    running: Option<Running>,
    /// The number of cells so far.
    cells: u64,
}

struct Running {
    /// The number of the cell, by which tasks notice that the next one runs.
    cell: u64,
    request: Arc<JupyterMessage>,
    interrupted_at: Option<Instant>,
    killed: bool,
}

/// The cell that an interrupt applies to, until this is dropped.
pub(crate) struct RunningCell(Interrupts);

impl Drop for RunningCell {
    fn drop(&mut self) {
        self.0.lock().running = None;
    }
}

impl Interrupts {
    pub(crate) fn new(iopub: IoPub) -> Self {
        Self(Arc::new(Shared {
            iopub,
            state: Mutex::default(),
        }))
    }

    /// Sets what interrupts the language, once that has started.
    pub(crate) fn set_interrupter(&self, interrupter: Arc<dyn Interrupter>) {
        self.lock().interrupter = Some(interrupter);
    }

    /// Makes interrupts apply to a cell, which runs now or waits for the language to start.
    pub(crate) fn start_cell(&self, request: &Arc<JupyterMessage>) -> RunningCell {
        let mut state = self.lock();
        state.cells += 1;
        let cell = state.cells;
        state.running = Some(Running {
            cell,
            request: Arc::clone(request),
            interrupted_at: None,
            killed: false,
        });
        RunningCell(self.clone())
    }

    /// Returns whether the running cell has been interrupted.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.lock()
            .running
            .as_ref()
            .is_some_and(|running| running.interrupted_at.is_some())
    }

    /// Waits until the running cell is interrupted.
    pub(crate) async fn interrupted(&self) {
        while !self.is_interrupted() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Interrupts the running cell, or kills it at the second call. Does nothing without a cell.
    pub(crate) fn interrupt(&self) {
        let mut state = self.lock();
        let interrupter = state.interrupter.clone();
        let Some(running) = &mut state.running else {
            tracing::info!("interrupt ignored: no cell runs");
            return;
        };
        match running.interrupted_at {
            None => {
                tracing::info!(request = running.request.header.msg_id, "cell interrupted");
                running.interrupted_at = Some(Instant::now());
                if let Some(interrupter) = interrupter {
                    interrupter.interrupt();
                }
                tokio::spawn(self.clone().repeat_until_stopped(running.cell));
            }
            Some(first) if first.elapsed() < MIN_SECOND_INTERRUPT_DELAY => {}
            Some(_) => {
                let cell = running.cell;
                drop(state);
                tokio::spawn(self.clone().kill_cell(cell, "it was interrupted twice"));
            }
        }
    }

    /// Kills whatever the language runs, because the kernel shuts down.
    pub(crate) fn kill(&self) {
        let interrupter = self.lock().interrupter.clone();
        if let Some(interrupter) = interrupter {
            interrupter.kill();
        }
    }

    async fn repeat_until_stopped(self, cell: u64) {
        loop {
            tokio::time::sleep(REPEAT_INTERVAL).await;
            let state = self.lock();
            let Some(running) = state
                .running
                .as_ref()
                .filter(|running| running.cell == cell)
            else {
                return;
            };
            if running.killed {
                return;
            }
            if running
                .interrupted_at
                .is_some_and(|first| first.elapsed() >= KILL_TIMEOUT)
            {
                break;
            }
            if let Some(interrupter) = &state.interrupter {
                interrupter.interrupt();
            }
        }
        self.kill_cell(cell, "it did not stop within 10 seconds")
            .await;
    }

    /// Kills `cell` if it still runs, and says so in its outputs.
    async fn kill_cell(self, cell: u64, reason: &str) {
        let (request, interrupter) = {
            let mut state = self.lock();
            let Some(interrupter) = state.interrupter.clone() else {
                return;
            };
            let Some(running) = state
                .running
                .as_mut()
                .filter(|running| running.cell == cell)
            else {
                return;
            };
            if std::mem::replace(&mut running.killed, true) {
                return;
            }
            (Arc::clone(&running.request), interrupter)
        };
        tracing::info!(request = request.header.msg_id, reason, "cell killed");
        let notice =
            format!("The cell is stopped by force, because {reason}: variables are lost.\n");
        self.0
            .iopub
            .publish(Some(&request), StreamContent::stderr(&notice))
            .await;
        interrupter.kill();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics between two related writes to the state, so it is whole in any case.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of a cell that was interrupted while it waited for the language to start.
pub(crate) fn interrupted_before_start() -> CellError {
    CellError::new("interrupted", "the cell was interrupted before it started")
}
