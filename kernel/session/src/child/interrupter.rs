//! Stopping the running cell.

use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

use offmodel_toolchain::extra_crates::CancellationToken;
use rustix::process::{Pid, Signal, kill_process};

/// Stops the running cell. Cheap to clone and usable from any thread.
#[derive(Debug, Clone)]
pub struct Interrupter {
    child: Arc<Mutex<Child>>,
    /// Cancels a build of extra crates.
    build: CancellationToken,
}

impl Interrupter {
    pub(crate) fn new(child: Arc<Mutex<Child>>, build: CancellationToken) -> Self {
        Self { child, build }
    }

    /// Asks the running cell to stop: the functions of offmodel check for it at every step, and all
    /// variables are kept. A cell that never calls one does not stop.
    pub fn interrupt(&self) {
        self.build.cancel();
        self.signal(Signal::INT);
    }

    /// Kills the child process. All variables are lost.
    pub fn kill(&self) {
        self.build.cancel();
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // After a child was waited for, the system may give its number to another process.
        // `try_wait` and the lock make sure that this is still the child.
        if let Ok(None) = child.try_wait() {
            // The only error left is that the child ended just now, which is what was wanted.
            let _ = kill_process(Pid::from_child(&child), signal);
        }
    }
}
