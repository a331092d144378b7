use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{
    Clock, Entry, Launched, Launcher, Ledger, LedgerFile, Outcome, Run, Running, Settled, Waiting,
    settle,
};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;

/// A run that was cut short this often takes the machine down, or something does that will not
/// stop.
const BEGINNINGS: usize = 5;

/// Settles occurrences, starts their sweeps and records how these end: one turn at a time.
///
/// The ledger is the truth; several conductors may share one. Each looks after the sweeps that
/// it started itself, and leaves those of others alone as long as they live.
#[derive(Debug)]
pub struct Conductor<C, L: Launcher> {
    file: LedgerFile,
    clock: C,
    launcher: L,
    /// Only these schedules; all if empty.
    only: Vec<String>,
    at_once: usize,
    own: Vec<Own<L::Launched>>,
    stopping: bool,
}

#[derive(Debug)]
struct Own<T> {
    name: String,
    scheduled: DateTime<Utc>,
    launched: T,
}

/// Something that happened to a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct News {
    /// The schedule.
    pub schedule: String,
    /// What happened.
    pub said: Said,
}

/// What happened to a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Said {
    /// Occurrences were missed and do not run.
    Skipped {
        /// How many.
        count: usize,
    },
    /// The clock had been far ahead; the schedule goes on from the present.
    ClockWasWrong,
    /// A sweep began.
    Started {
        /// The occurrence.
        scheduled: DateTime<Utc>,
        /// Which beginning of it this is, from 1.
        attempt: usize,
        /// Its output.
        log: std::path::PathBuf,
    },
    /// A sweep ended.
    Ended {
        /// The occurrence.
        scheduled: DateTime<Utc>,
        /// How.
        outcome: Outcome,
        /// Whether it goes on later.
        goes_on: bool,
        /// Its output.
        log: std::path::PathBuf,
    },
    /// The schedule cannot be kept.
    Broken {
        /// Why.
        reason: String,
    },
}

impl<C: Clock, L: Launcher> Conductor<C, L> {
    /// For the schedules named in `only`, or for all; with at most `at_once` sweeps of its own.
    pub fn new(file: LedgerFile, clock: C, launcher: L, only: Vec<String>, at_once: usize) -> Self {
        Self {
            file,
            clock,
            launcher,
            only,
            at_once,
            own: Vec::new(),
            stopping: false,
        }
    }

    /// Records the runs that ended, settles what is due if asked to, and starts what waits.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub fn turn(&mut self, settling: bool) -> Result<Vec<News>, RunnerError> {
        let now = self.clock.now();
        let ended = self.take_ended();
        let file = self.file.clone();
        file.update(|ledger| {
            let mut news = Vec::new();
            for (name, scheduled, outcome) in ended {
                if let Some(entry) = ledger.schedules.get_mut(&name) {
                    finish(&name, entry, scheduled, outcome, now, &mut news);
                }
            }
            self.find_lost(ledger, now, &mut news);
            if !self.stopping {
                if settling {
                    self.settle_all(ledger, now, &mut news);
                }
                self.start_waiting(ledger, now, &mut news);
            }
            Ok(news)
        })
    }

    /// Whether none of its own sweeps runs.
    pub fn is_idle(&self) -> bool {
        self.own.is_empty()
    }

    /// Starts nothing more, and sends its sweeps a signal.
    pub fn stop(&mut self, signal: i32) {
        self.stopping = true;
        for own in &mut self.own {
            own.launched.signal(signal);
        }
    }

    /// How long nothing is due, `None` without any schedule.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn until_next(&self) -> Result<Option<TimeDelta>, RunnerError> {
        let now = self.clock.now();
        let ledger = self.file.read()?;
        let next = ledger
            .schedules
            .iter()
            .filter(|(name, _)| self.is_selected(name))
            .filter_map(|(_, entry)| entry.timetable().ok()?.after(entry.settled))
            .min();
        Ok(next.map(|next| (next - now).max(TimeDelta::zero())))
    }

    fn is_selected(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    fn take_ended(&mut self) -> Vec<(String, DateTime<Utc>, Outcome)> {
        let stopping = self.stopping;
        let mut ended = Vec::new();
        self.own.retain_mut(|own| {
            let Some(outcome) = own.launched.ended() else {
                return true;
            };
            let outcome = match outcome {
                Outcome::Failed { exit_code } if stopping && was_stopped(exit_code) => {
                    Outcome::Stopped
                }
                outcome => outcome,
            };
            ended.push((own.name.clone(), own.scheduled, outcome));
            false
        });
        ended
    }

    /// Sweeps of schedulers that are gone, and that ended meanwhile.
    fn find_lost(&self, ledger: &mut Ledger, now: DateTime<Utc>, news: &mut Vec<News>) {
        for (name, entry) in &mut ledger.schedules {
            let lost: Vec<_> = entry
                .running
                .iter()
                .filter(|running| !self.owns(name, running.scheduled))
                .filter(|running| !self.launcher.is_alive(&running.process))
                .map(|running| running.scheduled)
                .collect();
            for scheduled in lost {
                finish(name, entry, scheduled, Outcome::Lost, now, news);
            }
        }
    }

    fn owns(&self, name: &str, scheduled: DateTime<Utc>) -> bool {
        self.own
            .iter()
            .any(|own| own.name == name && own.scheduled == scheduled)
    }

    fn settle_all(&self, ledger: &mut Ledger, now: DateTime<Utc>, news: &mut Vec<News>) {
        for (name, entry) in &mut ledger.schedules {
            if !self.is_selected(name) {
                continue;
            }
            let mut say = |said| news.push(told(name, said));
            match settle(entry, now) {
                Ok(Settled {
                    skipped,
                    clock_was_wrong,
                    ..
                }) => {
                    if clock_was_wrong {
                        say(Said::ClockWasWrong);
                    }
                    if skipped > 0 {
                        say(Said::Skipped { count: skipped });
                    }
                }
                // One bad schedule must not keep the others from running.
                Err(error) => say(Said::Broken {
                    reason: error.to_string(),
                }),
            }
        }
    }

    /// Starts what may run now, the earliest first.
    fn start_waiting(&mut self, ledger: &mut Ledger, now: DateTime<Utc>, news: &mut Vec<News>) {
        while self.own.len() < self.at_once {
            let next = ledger
                .schedules
                .iter()
                .filter(|(name, entry)| self.is_selected(name) && may_begin(entry))
                .filter_map(|(name, entry)| Some((entry.waiting.first()?.scheduled, name.clone())))
                .min();
            let Some((_, name)) = next else { return };
            if let Some(entry) = ledger.schedules.get_mut(&name) {
                self.start(&name, entry, now, news);
            }
        }
    }

    fn start(&mut self, name: &str, entry: &mut Entry, now: DateTime<Utc>, news: &mut Vec<News>) {
        let Waiting { scheduled, begun } = entry.waiting.remove(0);
        let attempt = begun + 1;
        match self
            .launcher
            .launch(name, &entry.schedule, scheduled, attempt)
        {
            Ok(launched) => {
                let log = launched.log().to_owned();
                entry.running.push(Running {
                    scheduled,
                    attempt,
                    started: now,
                    process: launched.process(),
                    log: log.clone(),
                });
                self.own.push(Own {
                    name: name.to_owned(),
                    scheduled,
                    launched,
                });
                let said = Said::Started {
                    scheduled,
                    attempt,
                    log,
                };
                news.push(told(name, said));
            }
            Err(error) => {
                let outcome = Outcome::NotStarted {
                    reason: error.to_string(),
                };
                entry.remember(Run {
                    scheduled,
                    started: now,
                    ended: now,
                    outcome: outcome.clone(),
                    log: Default::default(),
                });
                let said = Said::Ended {
                    scheduled,
                    outcome,
                    goes_on: false,
                    log: Default::default(),
                };
                news.push(told(name, said));
            }
        }
    }
}

fn may_begin(entry: &Entry) -> bool {
    entry.schedule.overlap || entry.running.is_empty()
}

/// By the signal that it was sent, in its own good order or not.
fn was_stopped(exit_code: Option<i32>) -> bool {
    exit_code.is_none_or(|code| code == ExitCode::Interrupted as i32)
}

/// Records the end of a run. One that was cut short waits again, before all others.
fn finish(
    name: &str,
    entry: &mut Entry,
    scheduled: DateTime<Utc>,
    outcome: Outcome,
    now: DateTime<Utc>,
    news: &mut Vec<News>,
) {
    let position = entry
        .running
        .iter()
        .position(|running| running.scheduled == scheduled);
    let Some(position) = position else { return };
    let running = entry.running.remove(position);
    let goes_on =
        matches!(outcome, Outcome::Stopped | Outcome::Lost) && running.attempt < BEGINNINGS;
    if goes_on {
        let waiting = Waiting {
            scheduled,
            begun: running.attempt,
        };
        entry.waiting.insert(0, waiting);
    }
    entry.remember(Run {
        scheduled,
        started: running.started,
        ended: now,
        outcome: outcome.clone(),
        log: running.log.clone(),
    });
    let said = Said::Ended {
        scheduled,
        outcome,
        goes_on,
        log: running.log,
    };
    news.push(told(name, said));
}

fn told(name: &str, said: Said) -> News {
    News {
        schedule: name.to_owned(),
        said,
    }
}

#[cfg(test)]
mod tests;
