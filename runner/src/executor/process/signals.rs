use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask the runner to stop: SIGINT (Ctrl-C), SIGTERM and SIGHUP (closed terminal).
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if SIGHUP was ignored at start.
    hang_up: Option<Signal>,
}

impl StopSignals {
    /// Handles the signals from now on. Their default would end the runner at once and leave its
    /// attempts behind. If SIGHUP was ignored at start (`nohup`), keeps ignoring it.
    ///
    /// # Errors
    /// When the system does not install a handler.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: if is_hang_up_ignored() {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
        })
    }

    /// Waits for the next signal. Cancel-safe.
    pub async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = recv_if_handled(self.hang_up.as_mut()) => {}
        }
    }
}

async fn recv_if_handled(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

fn is_hang_up_ignored() -> bool {
    // SAFETY: all-zero bytes are a valid `sigaction`, which holds only numbers.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: with a null pointer for the new action, the call only writes the current one to
    // `action`, which is valid for writes.
    let result = unsafe { libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}
