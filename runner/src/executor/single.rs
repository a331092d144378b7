//! One program, run once.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use offmodel_events::batch::ExitStatus;
use offmodel_toolchain::openmp;
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::ExecutorError;

/// How long a program has to stop after the first signal.
pub const GRACE: Duration = Duration::from_secs(5);

/// Runs the attempt in `folder` to its end, with `directory` as its working
/// directory. `tick` is called now and then, to show progress.
///
/// Ctrl-C and SIGTERM ask the program to stop, and kill it when asked twice or after [`GRACE`];
/// the second value says whether that happened.
///
/// # Errors
/// When the program does not start.
pub async fn run(
    program: &Path,
    directory: &Path,
    folder: &Path,
    mut tick: impl FnMut(),
) -> Result<(ExitStatus, bool), ExecutorError> {
    let failed = |error: std::io::Error| ExecutorError::Start {
        program: program.to_owned(),
        reason: error.to_string(),
    };
    let mut signals = StopSignals::listen().map_err(failed)?;
    // The program works in the notebook's folder, where a relative path means another.
    let folder = std::path::absolute(folder).map_err(failed)?;
    let started = Instant::now();
    let mut child = Command::new(program)
        .arg("--attempt")
        .arg(folder)
        .current_dir(directory)
        .envs(openmp::environment())
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let mut ticks = interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut stops = 0;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(failed)?,
            () = signals.recv() => {
                stops += 1;
                signal_group(group, if stops == 1 { libc::SIGINT } else { libc::SIGKILL });
            }
            () = sleep(GRACE), if stops == 1 => {
                stops += 1;
                signal_group(group, libc::SIGKILL);
            }
            _ = ticks.tick(), if stops == 0 => tick(),
        }
    };
    tick();
    let ending = ExitStatus {
        exit_code: status.code(),
        signal: status.signal(),
        seconds: started.elapsed().as_secs_f64(),
        peak_memory: 0,
    };
    Ok((ending, stops > 0))
}

/// The signals that ask the runner to stop.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` where it is ignored, as under `nohup`.
    hang_up: Option<Signal>,
}

impl StopSignals {
    /// Takes Ctrl-C, SIGTERM and SIGHUP (the terminal was closed) over from their default, which is
    /// to end the process at once and to leave its trials behind. Under `nohup`, which lets a
    /// closed terminal not matter, SIGHUP goes on not mattering.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: if hang_up_is_ignored() {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
        })
    }

    /// Waits for the next one.
    pub async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = next(self.hang_up.as_mut()) => {}
        }
    }
}

async fn next(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

fn hang_up_is_ignored() -> bool {
    // SAFETY: all-zero bytes are a valid `sigaction`, which holds only numbers.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action, the call only writes the present one to a valid place.
    let asked = unsafe { libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Sends a signal to a process group that an attempt leads.
pub fn signal_group(leader: Option<i32>, signal: i32) {
    if let Some(leader) = leader.filter(|&leader| leader > 1) {
        // SAFETY: a plain system call; a group that is gone is answered with an error.
        unsafe { libc::kill(-leader, signal) };
    }
}
