//! `offmodel schedule tick` and `daemon`.

use std::time::Duration;

use super::{DaemonArguments, TickArguments};
use crate::cli::output::{Format, Output, print};
use crate::error::RunnerError;
use crate::executor::process::StopSignals;
use crate::exit_code::ExitCode;
use crate::runtime;
use crate::schedule::{
    RunOutcome, ScheduleEvent, ScheduleEventKind, ScheduleStore, Scheduler, SweepLauncher,
    SystemClock,
};
use crate::terminal::{errln, outln};

/// How often active runs are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The longest sleep without active runs. A timer does not notice that the clock was set or that the
/// machine slept, so the clock is read again at least this often.
const MAX_SLEEP: Duration = Duration::from_secs(15);

type SystemScheduler = Scheduler<SystemClock, SweepLauncher>;

/// How long the scheduler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    /// Until everything is done that is due at the start.
    Once,
    /// Until a signal stops it.
    UntilStopped,
}

/// Runs what is due, and waits until it has ended.
pub(super) fn tick(arguments: &TickArguments) -> Result<ExitCode, RunnerError> {
    let store = arguments.state.store()?;
    let table = store.read()?;
    for name in &arguments.only {
        table.entry(name)?;
    }
    let scheduler = scheduler(store, arguments.only.clone(), arguments.at_once)?;
    let format = Format::lines_from_flag(arguments.state.json);
    runtime::current_thread()?.block_on(run(scheduler, format, Lifetime::Once))
}

/// Runs what is due, until a signal stops it.
pub(super) fn daemon(arguments: &DaemonArguments) -> Result<ExitCode, RunnerError> {
    let store = arguments.state.store()?;
    let count = store.read()?.schedules.len();
    errln!(
        "running {count} schedules of {}; Ctrl-C or SIGTERM stops in order",
        store.folder().display()
    );
    let scheduler = scheduler(store, Vec::new(), arguments.at_once)?;
    let format = Format::lines_from_flag(arguments.state.json);
    runtime::current_thread()?.block_on(run(scheduler, format, Lifetime::UntilStopped))
}

fn scheduler(
    store: ScheduleStore,
    only: Vec<String>,
    max_parallel: u16,
) -> Result<SystemScheduler, RunnerError> {
    let program = std::env::current_exe().map_err(|source| RunnerError::Kernel {
        path: "offmodel".into(),
        source,
    })?;
    let launcher = SweepLauncher::new(program, store.folder().join("logs"));
    let max_parallel = usize::from(max_parallel);
    Ok(Scheduler::new(
        store,
        SystemClock,
        launcher,
        only,
        max_parallel,
    ))
}

/// Ticks until the lifetime is over. The first signal stops active runs in order, the second one
/// kills them.
async fn run(
    mut scheduler: SystemScheduler,
    format: Format,
    lifetime: Lifetime,
) -> Result<ExitCode, RunnerError> {
    let mut signals = StopSignals::listen().map_err(|source| RunnerError::Signals { source })?;
    let mut signals_received = 0;
    let mut exit_code = ExitCode::Success;
    let mut is_first = true;
    loop {
        let ticked = match lifetime {
            Lifetime::Once if !is_first => scheduler.finish_pending(),
            _ => scheduler.tick(),
        };
        is_first = false;
        let sleep = match ticked {
            Ok(events) => {
                for event in &events {
                    print(event, format)?;
                    if is_failure(event) {
                        exit_code = ExitCode::CellFailed;
                    }
                }
                if scheduler.is_idle() {
                    time_to_next(&scheduler)
                } else {
                    POLL_INTERVAL
                }
            }
            // A full disk tonight must not end the daemon.
            Err(error) if lifetime == Lifetime::UntilStopped && signals_received == 0 => {
                errln!("error: {error}");
                MAX_SLEEP
            }
            Err(error) => return Err(error),
        };
        if scheduler.is_idle() && signals_received > 0 {
            return Ok(ExitCode::Interrupted);
        }
        if scheduler.is_idle() && lifetime == Lifetime::Once {
            return Ok(exit_code);
        }
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = signals.recv() => {
                signals_received += 1;
                let signal = if signals_received == 1 { libc::SIGTERM } else { libc::SIGKILL };
                scheduler.stop(signal);
            }
        }
    }
}

fn time_to_next(scheduler: &SystemScheduler) -> Duration {
    let next = scheduler.time_to_next().ok().flatten();
    next.and_then(|next| next.to_std().ok())
        .map_or(MAX_SLEEP, |next| next.clamp(POLL_INTERVAL, MAX_SLEEP))
}

fn is_failure(event: &ScheduleEvent) -> bool {
    matches!(
        &event.kind,
        ScheduleEventKind::Broken { .. }
            | ScheduleEventKind::Ended {
                outcome: RunOutcome::Failed { .. } | RunOutcome::NotStarted { .. },
                ..
            }
    )
}

impl Output for ScheduleEvent {
    fn print_text(&self) {
        let name = &self.schedule;
        match &self.kind {
            ScheduleEventKind::Skipped { count } => {
                outln!("{name}: {count} missed occurrences do not run");
            }
            ScheduleEventKind::ClockWasAhead => outln!(
                "{name}: the clock was set back by more than a day; continuing from the present"
            ),
            ScheduleEventKind::Started {
                scheduled,
                attempt,
                log,
            } => {
                let what = match attempt {
                    1 => "started".to_owned(),
                    attempt => format!("resumed (attempt {attempt})"),
                };
                outln!("{name}: {what} the run of {scheduled}; {}", log.display());
            }
            ScheduleEventKind::Ended {
                scheduled,
                outcome,
                continues,
                log,
            } => {
                let later = if *continues {
                    "; it continues later"
                } else {
                    ""
                };
                outln!(
                    "{name}: the run of {scheduled} {outcome}{later}; {}",
                    log.display()
                );
            }
            ScheduleEventKind::Broken { reason } => outln!("{name}: cannot run: {reason}"),
        }
    }
}
