//! Stopping a cell without killing it.
//!
//! `SIGINT` only sets a flag. Every decoding step, training step and grading loop calls
//! [`check`] and leaves through its ordinary error path, so that variables and the models on the
//! GPU stay.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// The cell was asked to stop, and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Fails if this process was asked to stop since [`clear`].
pub fn check() -> Result<(), Interrupted> {
    if REQUESTED.load(Ordering::Relaxed) {
        Err(Interrupted)
    } else {
        Ok(())
    }
}

/// Sleeps, but wakes and fails when interrupted.
pub fn sleep(duration: Duration) -> Result<(), Interrupted> {
    const STEP: Duration = Duration::from_millis(20);
    let end = Instant::now() + duration;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(STEP));
    }
}

/// Asks the running work to stop, as `SIGINT` does.
pub fn request() {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// Forgets an earlier request: called when a cell begins.
pub fn clear() {
    REQUESTED.store(false, Ordering::Relaxed);
}

/// Turns `SIGINT` into [`request`] for this process.
pub fn install_handler() {
    extern "C" fn on_interrupt(_signal: libc::c_int) {
        REQUESTED.store(true, Ordering::Relaxed);
    }
    let handler = on_interrupt as extern "C" fn(libc::c_int);
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
}
