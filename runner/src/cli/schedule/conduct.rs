use std::time::Duration;

use super::{DaemonArguments, StateArguments, TickArguments};
use crate::error::RunnerError;
use crate::executor::process::StopSignals;
use crate::exit_code::ExitCode;
use crate::schedule::{Conductor, LedgerFile, News, Outcome, Said, SweepLauncher, SystemClock};
use crate::terminal::{errln, outln};

/// How often running sweeps are looked at.
const WATCH: Duration = Duration::from_millis(200);

/// The longest sleep without a run. The clock may be set and the machine may sleep; a timer knows
/// of neither, a look at the clock does.
const LOOK: Duration = Duration::from_secs(15);

type Keeper = Conductor<SystemClock, SweepLauncher>;

/// Runs what is due and waits for it.
pub(super) fn tick(arguments: &TickArguments) -> Result<ExitCode, RunnerError> {
    let file = arguments.state.ledger()?;
    let ledger = file.read()?;
    for name in &arguments.only {
        ledger.entry(name)?;
    }
    let keeper = keeper(file, arguments.only.clone(), arguments.at_once)?;
    block_on(keep(keeper, &arguments.state, true))
}

/// Runs what is due until someone asks it to stop.
pub(super) fn daemon(arguments: &DaemonArguments) -> Result<ExitCode, RunnerError> {
    let file = arguments.state.ledger()?;
    let count = file.read()?.schedules.len();
    errln!(
        "keeping {count} schedules of {}; Ctrl-C or SIGTERM stops in order",
        file.folder().display()
    );
    let keeper = keeper(file, Vec::new(), arguments.at_once)?;
    block_on(keep(keeper, &arguments.state, false))
}

fn keeper(file: LedgerFile, only: Vec<String>, at_once: u16) -> Result<Keeper, RunnerError> {
    let program = std::env::current_exe().map_err(|source| RunnerError::Kernel {
        path: "offmodel".into(),
        source,
    })?;
    let launcher = SweepLauncher::new(program, file.folder().join("logs"));
    let at_once = usize::from(at_once);
    Ok(Conductor::new(file, SystemClock, launcher, only, at_once))
}

fn block_on(
    keeping: impl Future<Output = Result<ExitCode, RunnerError>>,
) -> Result<ExitCode, RunnerError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| RunnerError::Runtime { source })?;
    runtime.block_on(keeping)
}

/// Turn after turn: until all is done that was due at the first one, or until stopped.
async fn keep(
    mut keeper: Keeper,
    state: &StateArguments,
    once: bool,
) -> Result<ExitCode, RunnerError> {
    let mut signals = StopSignals::listen().map_err(|source| RunnerError::Signals { source })?;
    let mut stops = 0;
    let mut worst = ExitCode::Success;
    let mut settling = true;
    loop {
        let mut pause = None;
        match keeper.turn(settling) {
            Ok(news) => {
                for news in &news {
                    say(news, state.json);
                    if has_failed(news) {
                        worst = ExitCode::CellFailed;
                    }
                }
            }
            // A full disk at night must not end the nights after it.
            Err(error) if !once && stops == 0 => {
                errln!("error: {error}");
                pause = Some(LOOK);
            }
            Err(error) => return Err(error),
        }
        let idle = keeper.is_idle();
        if idle && stops > 0 {
            return Ok(ExitCode::Interrupted);
        }
        if idle && once {
            return Ok(worst);
        }
        settling = !once;
        let pause = pause.unwrap_or_else(|| if idle { until_next(&keeper) } else { WATCH });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = signals.recv() => {
                stops += 1;
                keeper.stop(if stops == 1 { libc::SIGTERM } else { libc::SIGKILL });
            }
        }
    }
}

fn until_next(keeper: &Keeper) -> Duration {
    let next = keeper.until_next().ok().flatten();
    next.and_then(|next| next.to_std().ok())
        .map_or(LOOK, |next| next.clamp(WATCH, LOOK))
}

fn has_failed(news: &News) -> bool {
    matches!(
        &news.said,
        Said::Broken { .. }
            | Said::Ended {
                outcome: Outcome::Failed { .. } | Outcome::NotStarted { .. },
                ..
            }
    )
}

fn say(news: &News, json: bool) {
    if json {
        // One line each: what reads them need not wait for the end.
        match serde_json::to_string(news) {
            Ok(line) => outln!("{line}"),
            Err(error) => errln!("error: {error}"),
        }
        return;
    }
    let name = &news.schedule;
    match &news.said {
        Said::Skipped { count } => outln!("{name}: {count} missed occurrences do not run"),
        Said::ClockWasWrong => {
            outln!("{name}: the clock was set back by more than a day; going on from now");
        }
        Said::Started {
            scheduled,
            attempt: 1,
            log,
        } => outln!("{name}: started the run of {scheduled}; {}", log.display()),
        Said::Started {
            scheduled,
            attempt,
            log,
        } => outln!(
            "{name}: went on with the run of {scheduled}, for the {attempt}. time; {}",
            log.display()
        ),
        Said::Ended {
            scheduled,
            outcome,
            log,
            goes_on,
        } => {
            let later = if *goes_on { "; it goes on later" } else { "" };
            outln!(
                "{name}: the run of {scheduled} {outcome}{later}; {}",
                log.display()
            );
        }
        Said::Broken { reason } => outln!("{name}: cannot be kept: {reason}"),
    }
}
