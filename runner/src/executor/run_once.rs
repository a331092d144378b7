use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use offmodel_events::batch::ExitStatus;
use offmodel_toolchain::openmp;
use tokio::process::Command;
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use super::ExecutorError;
use super::process::{Limits, ProcessGroup, StopRequest, StopRequests, StopSignals, supervise};

const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the attempt in `folder` without a sweep around it, with `directory` as its working
/// directory; calls `tick` now and then, and once at the end, to show progress.
///
/// A first stop signal interrupts the program; a second one, or the end of the grace period, kills
/// it. The returned flag says whether such a signal came.
///
/// # Errors
/// When the program does not start.
pub async fn run_once(
    program: &Path,
    directory: &Path,
    folder: &Path,
    mut tick: impl FnMut(),
) -> Result<(ExitStatus, bool), ExecutorError> {
    let failed = |error: std::io::Error| ExecutorError::Start {
        program: program.to_owned(),
        reason: error.to_string(),
    };
    let mut signals = CountedSignals {
        signals: StopSignals::listen().map_err(failed)?,
        received: 0,
    };
    // The program starts in the notebook's folder, where a relative path would name another one.
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
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    debug!(pid, "program started");
    let group = std::future::ready(pid.and_then(ProcessGroup::led_by));
    let (status, _) = {
        let supervised = supervise(Limits::default(), group, &mut signals, child.wait());
        tokio::pin!(supervised);
        let mut ticks = interval(PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                supervised = &mut supervised => break supervised,
                _ = ticks.tick() => tick(),
            }
        }
    };
    tick();
    let status = status.map_err(failed)?;
    debug!(%status, "program ended");
    let exit_status = ExitStatus {
        exit_code: status.code(),
        signal: status.signal(),
        seconds: started.elapsed().as_secs_f64(),
        peak_memory: 0,
    };
    Ok((exit_status, signals.received > 0))
}

/// Turns the first stop signal into an interrupt and every further one into a kill.
struct CountedSignals {
    signals: StopSignals,
    received: usize,
}

impl StopRequests for CountedSignals {
    async fn next(&mut self) -> StopRequest {
        self.signals.recv().await;
        self.received += 1;
        if self.received == 1 {
            StopRequest::Terminate
        } else {
            StopRequest::Kill
        }
    }
}
