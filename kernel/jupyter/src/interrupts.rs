//! How a running cell is stopped: asked first, forced only as the last resort.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jupyter_protocol::{JupyterMessage, StreamContent};
use offmodel_events::CellError;

use crate::language::Interrupter;
use crate::sockets::iopub::IoPub;

/// The cell is asked again this often: it may not have listened yet (it was being compiled).
const REPEAT: Duration = Duration::from_millis(200);
/// A cell that has not stopped by then is stopped by force.
const PATIENCE: Duration = Duration::from_secs(10);
/// A second interrupt after this time is meant as one; before, it is a nervous finger.
const DELIBERATE: Duration = Duration::from_secs(1);

/// The running cell as far as it can be stopped. Cheap to clone.
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
    cells: u64,
}

struct Running {
    cell: u64,
    request: Arc<JupyterMessage>,
    interrupted: Option<Instant>,
    killed: bool,
}

/// A cell that can be interrupted, until this is dropped.
pub(crate) struct InterruptibleCell(Interrupts);

impl Drop for InterruptibleCell {
    fn drop(&mut self) {
        self.0.lock().running = None;
    }
}

impl Interrupts {
    pub fn new(iopub: IoPub) -> Self {
        Self(Arc::new(Shared {
            iopub,
            state: Mutex::default(),
        }))
    }

    /// The language is ready.
    pub fn ready(&self, interrupter: Arc<dyn Interrupter>) {
        self.lock().interrupter = Some(interrupter);
    }

    /// A cell begins, or waits for the language to become ready.
    pub fn begin(&self, request: &Arc<JupyterMessage>) -> InterruptibleCell {
        let mut state = self.lock();
        state.cells += 1;
        let cell = state.cells;
        let request = Arc::clone(request);
        state.running = Some(Running {
            cell,
            request,
            interrupted: None,
            killed: false,
        });
        InterruptibleCell(self.clone())
    }

    /// Whether the cell has been asked to stop.
    pub fn is_interrupted(&self) -> bool {
        self.lock()
            .running
            .as_ref()
            .is_some_and(|running| running.interrupted.is_some())
    }

    /// Waits until the cell is asked to stop.
    pub async fn interrupted(&self) {
        while !self.is_interrupted() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The user wants the cell to stop. Without a cell, nothing happens.
    pub fn request(&self) {
        let mut state = self.lock();
        let interrupter = state.interrupter.clone();
        let Some(running) = &mut state.running else {
            return;
        };
        match running.interrupted {
            None => {
                running.interrupted = Some(Instant::now());
                if let Some(interrupter) = interrupter {
                    interrupter.interrupt();
                }
                tokio::spawn(self.clone().insist(running.cell));
            }
            Some(first) if first.elapsed() < DELIBERATE => {}
            Some(_) => {
                let cell = running.cell;
                drop(state);
                tokio::spawn(self.clone().force(cell, "it was interrupted twice"));
            }
        }
    }

    /// Stops whatever runs, because the kernel ends.
    pub fn kill(&self) {
        let interrupter = self.lock().interrupter.clone();
        if let Some(interrupter) = interrupter {
            interrupter.kill();
        }
    }

    async fn insist(self, cell: u64) {
        loop {
            tokio::time::sleep(REPEAT).await;
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
                .interrupted
                .is_some_and(|first| first.elapsed() >= PATIENCE)
            {
                break;
            }
            if let Some(interrupter) = &state.interrupter {
                interrupter.interrupt();
            }
        }
        self.force(cell, "it did not stop within 10 seconds").await;
    }

    async fn force(self, cell: u64, reason: &str) {
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
        let notice =
            format!("The cell is stopped by force, because {reason}: variables are lost.\n");
        self.0
            .iopub
            .publish(Some(&request), StreamContent::stderr(&notice))
            .await;
        interrupter.kill();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can be left half-done by a panic.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of a cell that was interrupted before it began.
pub(crate) fn interrupted_early() -> CellError {
    CellError::new("interrupted", "the cell was interrupted before it began")
}
