//! Starts due sweeps and records how they end.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{
    ActiveRun, CatchUp, Clock, FinishedRun, LaunchedSweep, Launcher, PendingRun, RunOutcome,
    ScheduleEntry, ScheduleStore, ScheduleTable, catch_up,
};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;

/// How often a run that is cut short is started. After that, it is likely that the run itself takes
/// the machine down.
const MAX_STARTS: usize = 5;

/// Runs the sweeps of schedules, one [tick](Self::tick) at a time.
///
/// The [`ScheduleStore`] holds all state that outlives a process, so several schedulers may share
/// it. Each one watches the sweeps that it started itself, and leaves those of others alone while
/// they run.
#[derive(Debug)]
pub struct Scheduler<C, L: Launcher> {
    store: ScheduleStore,
    clock: C,
    launcher: L,
    /// The names of the schedules to run; all if empty.
    only: Vec<String>,
    max_parallel: usize,
    own_runs: Vec<OwnRun<L::Launched>>,
    is_stopping: bool,
}

/// A run that this scheduler started.
#[derive(Debug)]
struct OwnRun<T> {
    schedule: String,
    scheduled: DateTime<Utc>,
    sweep: T,
}

/// An event of a schedule, for the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScheduleEvent {
    /// The name of the schedule.
    pub schedule: String,
    /// What happened.
    #[serde(rename = "said")]
    pub kind: ScheduleEventKind,
}

/// What happened to a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ScheduleEventKind {
    /// Occurrences were missed and do not run.
    Skipped {
        /// The number of occurrences.
        count: usize,
    },
    /// The clock had been far ahead; the schedule continues from the present.
    #[serde(rename = "clock_was_wrong")]
    ClockWasAhead,
    /// A sweep was started.
    Started {
        /// The occurrence.
        scheduled: DateTime<Utc>,
        /// How often the run was started, this time included.
        attempt: usize,
        /// The log with its output.
        log: PathBuf,
    },
    /// A sweep ended.
    Ended {
        /// The occurrence.
        scheduled: DateTime<Utc>,
        /// How it ended.
        outcome: RunOutcome,
        /// Whether the run is started again later.
        #[serde(rename = "goes_on")]
        continues: bool,
        /// The log with its output.
        log: PathBuf,
    },
    /// The schedule has no valid recurrence.
    Broken {
        /// The error.
        reason: String,
    },
}

impl<C: Clock, L: Launcher> Scheduler<C, L> {
    /// A scheduler for the schedules named in `only`, or for all if that is empty. It runs at most
    /// `max_parallel` sweeps at once.
    pub fn new(
        store: ScheduleStore,
        clock: C,
        launcher: L,
        only: Vec<String>,
        max_parallel: usize,
    ) -> Self {
        Self {
            store,
            clock,
            launcher,
            only,
            max_parallel,
            own_runs: Vec::new(),
            is_stopping: false,
        }
    }

    /// Records runs that ended, decides what is due, and starts what is pending.
    ///
    /// # Errors
    /// [`RunnerError`], if the store cannot be read or written.
    pub fn tick(&mut self) -> Result<Vec<ScheduleEvent>, RunnerError> {
        self.step(true)
    }

    /// Like [`Self::tick`], but leaves occurrences undecided that became due since.
    ///
    /// # Errors
    /// [`RunnerError`], if the store cannot be read or written.
    pub fn finish_pending(&mut self) -> Result<Vec<ScheduleEvent>, RunnerError> {
        self.step(false)
    }

    /// Whether none of the sweeps that this scheduler started runs.
    pub fn is_idle(&self) -> bool {
        self.own_runs.is_empty()
    }

    /// Sends a signal to the sweeps that this scheduler started, and starts no more.
    pub fn stop(&mut self, signal: i32) {
        self.is_stopping = true;
        for run in &mut self.own_runs {
            run.sweep.signal(signal);
        }
    }

    /// The time until the next occurrence; none without schedules.
    ///
    /// # Errors
    /// [`RunnerError`], if the store cannot be read.
    pub fn time_to_next(&self) -> Result<Option<TimeDelta>, RunnerError> {
        let now = self.clock.now();
        let table = self.store.read()?;
        let next = table
            .schedules
            .iter()
            .filter(|(name, _)| self.is_selected(name))
            .filter_map(|(_, entry)| entry.recurrence().ok()?.next_after(entry.decided_until))
            .min();
        Ok(next.map(|next| (next - now).max(TimeDelta::zero())))
    }

    fn step(&mut self, catches_up: bool) -> Result<Vec<ScheduleEvent>, RunnerError> {
        let now = self.clock.now();
        let ended = self.take_ended_runs();
        let store = self.store.clone();
        store.update(|table| {
            let mut events = Vec::new();
            for (name, scheduled, outcome) in ended {
                if let Some(entry) = table.schedules.get_mut(&name) {
                    finish(&name, entry, scheduled, outcome, now, &mut events);
                }
            }
            self.finish_lost_runs(table, now, &mut events);
            if !self.is_stopping {
                if catches_up {
                    self.catch_up_all(table, now, &mut events);
                }
                self.start_pending(table, now, &mut events);
            }
            Ok(events)
        })
    }

    fn is_selected(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Removes the own runs that ended.
    fn take_ended_runs(&mut self) -> Vec<(String, DateTime<Utc>, RunOutcome)> {
        let is_stopping = self.is_stopping;
        let mut ended = Vec::new();
        self.own_runs.retain_mut(|run| {
            let Some(outcome) = run.sweep.try_wait() else {
                return true;
            };
            let outcome = match outcome {
                RunOutcome::Failed { exit_code } if is_stopping && was_stopped(exit_code) => {
                    RunOutcome::Stopped
                }
                outcome => outcome,
            };
            ended.push((run.schedule.clone(), run.scheduled, outcome));
            false
        });
        ended
    }

    /// Records runs of other schedulers whose processes are gone.
    fn finish_lost_runs(
        &self,
        table: &mut ScheduleTable,
        now: DateTime<Utc>,
        events: &mut Vec<ScheduleEvent>,
    ) {
        for (name, entry) in &mut table.schedules {
            let lost: Vec<_> = entry
                .active
                .iter()
                .filter(|run| !self.owns(name, run.scheduled))
                .filter(|run| !self.launcher.is_alive(&run.process))
                .map(|run| run.scheduled)
                .collect();
            for scheduled in lost {
                finish(name, entry, scheduled, RunOutcome::Lost, now, events);
            }
        }
    }

    fn owns(&self, schedule: &str, scheduled: DateTime<Utc>) -> bool {
        self.own_runs
            .iter()
            .any(|run| run.schedule == schedule && run.scheduled == scheduled)
    }

    fn catch_up_all(
        &self,
        table: &mut ScheduleTable,
        now: DateTime<Utc>,
        events: &mut Vec<ScheduleEvent>,
    ) {
        for (name, entry) in &mut table.schedules {
            if !self.is_selected(name) {
                continue;
            }
            let mut report = |kind| events.push(event(name, kind));
            match catch_up(entry, now) {
                Ok(CatchUp {
                    skipped,
                    clock_was_ahead,
                    ..
                }) => {
                    if clock_was_ahead {
                        report(ScheduleEventKind::ClockWasAhead);
                    }
                    if skipped > 0 {
                        report(ScheduleEventKind::Skipped { count: skipped });
                    }
                }
                // Reported rather than returned, so that the other schedules still run.
                Err(error) => report(ScheduleEventKind::Broken {
                    reason: error.to_string(),
                }),
            }
        }
    }

    /// Starts pending runs, the earliest first, while there is room.
    fn start_pending(
        &mut self,
        table: &mut ScheduleTable,
        now: DateTime<Utc>,
        events: &mut Vec<ScheduleEvent>,
    ) {
        while self.own_runs.len() < self.max_parallel {
            let next = table
                .schedules
                .iter()
                .filter(|(name, entry)| self.is_selected(name) && may_start(entry))
                .filter_map(|(name, entry)| Some((entry.pending.first()?.scheduled, name.clone())))
                .min();
            let Some((_, name)) = next else { return };
            if let Some(entry) = table.schedules.get_mut(&name) {
                events.push(self.start(&name, entry, now));
            }
        }
    }

    /// Starts the first pending run of a schedule.
    fn start(
        &mut self,
        name: &str,
        entry: &mut ScheduleEntry,
        now: DateTime<Utc>,
    ) -> ScheduleEvent {
        let PendingRun { scheduled, starts } = entry.pending.remove(0);
        let attempt = starts + 1;
        let launched = self
            .launcher
            .launch(name, &entry.schedule, scheduled, attempt);
        let sweep = match launched {
            Ok(sweep) => sweep,
            Err(error) => {
                let outcome = RunOutcome::NotStarted {
                    reason: error.to_string(),
                };
                entry.record(FinishedRun {
                    scheduled,
                    started: now,
                    ended: now,
                    outcome: outcome.clone(),
                    log: PathBuf::new(),
                });
                let kind = ScheduleEventKind::Ended {
                    scheduled,
                    outcome,
                    continues: false,
                    log: PathBuf::new(),
                };
                return event(name, kind);
            }
        };
        let log = sweep.log().to_owned();
        entry.active.push(ActiveRun {
            scheduled,
            attempt,
            started: now,
            process: sweep.process(),
            log: log.clone(),
        });
        self.own_runs.push(OwnRun {
            schedule: name.to_owned(),
            scheduled,
            sweep,
        });
        let kind = ScheduleEventKind::Started {
            scheduled,
            attempt,
            log,
        };
        event(name, kind)
    }
}

fn may_start(entry: &ScheduleEntry) -> bool {
    entry.schedule.overlap || entry.active.is_empty()
}

/// Whether a sweep that was sent a signal ended because of it: by the signal itself, or in order
/// with the exit code for an interruption.
fn was_stopped(exit_code: Option<i32>) -> bool {
    exit_code.is_none_or(|code| code == ExitCode::Interrupted as i32)
}

/// Moves an active run to the history. A run that was cut short becomes pending again, before all
/// others.
fn finish(
    name: &str,
    entry: &mut ScheduleEntry,
    scheduled: DateTime<Utc>,
    outcome: RunOutcome,
    now: DateTime<Utc>,
    events: &mut Vec<ScheduleEvent>,
) {
    let position = entry
        .active
        .iter()
        .position(|run| run.scheduled == scheduled);
    let Some(position) = position else { return };
    let run = entry.active.remove(position);
    let was_cut_short = matches!(outcome, RunOutcome::Stopped | RunOutcome::Lost);
    let continues = was_cut_short && run.attempt < MAX_STARTS;
    if continues {
        let pending = PendingRun {
            scheduled,
            starts: run.attempt,
        };
        entry.pending.insert(0, pending);
    }
    entry.record(FinishedRun {
        scheduled,
        started: run.started,
        ended: now,
        outcome: outcome.clone(),
        log: run.log.clone(),
    });
    let kind = ScheduleEventKind::Ended {
        scheduled,
        outcome,
        continues,
        log: run.log,
    };
    events.push(event(name, kind));
}

fn event(schedule: &str, kind: ScheduleEventKind) -> ScheduleEvent {
    ScheduleEvent {
        schedule: schedule.to_owned(),
        kind,
    }
}

#[cfg(test)]
mod tests;
