//! The interrupt flag: stops a cell without killing its process.
//!
//! The handler of `SIGINT` only sets the flag. Every decoding step, training step and grading loop
//! calls [`check`] and returns through its ordinary error path, so that the session's variables and
//! the models on the GPU survive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// The error of work that stopped because the process was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Returns an error if an interrupt was requested since the last [`clear`].
///
/// # Errors
/// [`Interrupted`].
pub fn check() -> Result<(), Interrupted> {
    if REQUESTED.load(Ordering::Relaxed) {
        Err(Interrupted)
    } else {
        Ok(())
    }
}

/// Sleeps for `duration`, or until an interrupt is requested.
///
/// # Errors
/// [`Interrupted`].
pub fn sleep(duration: Duration) -> Result<(), Interrupted> {
    const POLL_INTERVAL: Duration = Duration::from_millis(20);
    let end = Instant::now() + duration;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(POLL_INTERVAL));
    }
}

/// Requests an interrupt, as `SIGINT` does.
pub fn request() {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// Forgets an earlier request. The live kernel calls it when a cell begins.
pub fn clear() {
    REQUESTED.store(false, Ordering::Relaxed);
}

/// Makes `SIGINT` call [`request`] in this process instead of ending it.
pub fn install_handler() {
    extern "C" fn on_interrupt(_signal: libc::c_int) {
        request();
    }
    let handler = on_interrupt as extern "C" fn(libc::c_int);
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
}
