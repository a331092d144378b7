//! `offmodel schedule list` and `next`.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::{NextArguments, StateArguments, utc_text};
use crate::cli::output::{Format, Output, VERSION, print};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::schedule::{
    ActiveRun, Clock, FinishedRun, PendingRun, Recurrence, Schedule, ScheduleEntry, ScheduleError,
    SystemClock,
};
use crate::terminal::outln;

#[derive(Debug, Serialize)]
struct ScheduleList<'a> {
    version: u32,
    schedules: Vec<ListedSchedule<'a>>,
}

#[derive(Debug, Serialize)]
struct ListedSchedule<'a> {
    name: &'a str,
    schedule: &'a Schedule,
    /// The next occurrence, in UTC.
    #[serde(serialize_with = "next_as_text")]
    next: Next,
    #[serde(rename = "settled")]
    decided_until: String,
    #[serde(rename = "waiting")]
    pending: &'a [PendingRun],
    /// Active runs whose process is alive.
    running: Vec<&'a ActiveRun>,
    history: &'a [FinishedRun],
    /// All active runs, also those that ended while no scheduler ran.
    #[serde(skip)]
    active: &'a [ActiveRun],
}

/// The recurrence of a schedule with its next occurrence.
type Next = Result<Option<(Recurrence, DateTime<Utc>)>, ScheduleError>;

/// Prints all schedules.
pub(super) fn list(arguments: &StateArguments) -> Result<ExitCode, RunnerError> {
    let table = arguments.store()?.read()?;
    let now = SystemClock.now();
    let list = ScheduleList {
        version: VERSION,
        schedules: table
            .schedules
            .iter()
            .map(|(name, entry)| ListedSchedule::new(name, entry, now))
            .collect(),
    };
    print(&list, Format::from_flag(arguments.json))?;
    Ok(ExitCode::Success)
}

impl<'a> ListedSchedule<'a> {
    fn new(name: &'a str, entry: &'a ScheduleEntry, now: DateTime<Utc>) -> Self {
        Self {
            name,
            schedule: &entry.schedule,
            next: next_of(entry, now),
            decided_until: utc_text(entry.decided_until),
            pending: &entry.pending,
            running: entry
                .active
                .iter()
                .filter(|run| run.process.is_alive())
                .collect(),
            history: &entry.history,
            active: &entry.active,
        }
    }
}

fn next_of(entry: &ScheduleEntry, now: DateTime<Utc>) -> Next {
    let recurrence = entry.recurrence()?;
    Ok(recurrence.next_after(now).map(|next| (recurrence, next)))
}

fn next_as_text<S: Serializer>(next: &Next, serializer: S) -> Result<S::Ok, S::Error> {
    let next = next.as_ref().ok().and_then(Option::as_ref);
    next.map(|(_, next)| utc_text(*next)).serialize(serializer)
}

impl Output for ScheduleList<'_> {
    fn print_text(&self) {
        if self.schedules.is_empty() {
            outln!("no schedules; `offmodel schedule add` makes one");
        }
        for schedule in &self.schedules {
            outln!("{schedule}");
        }
    }
}

impl fmt::Display for ListedSchedule<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Schedule {
            cron,
            timezone,
            sweep,
            ..
        } = self.schedule;
        let (name, sweep) = (self.name, sweep.display());
        write!(formatter, "{name}: {cron} ({timezone}), {sweep}")?;
        let recurrence = match &self.next {
            Ok(Some((recurrence, next))) => {
                let next = recurrence.to_local(*next).format("%a %Y-%m-%d %H:%M %Z");
                write!(formatter, "\n  next   {next}")?;
                Some(recurrence)
            }
            Ok(None) => None,
            Err(error) => {
                write!(formatter, "\n  error  {error}")?;
                None
            }
        };
        let shown = |instant: DateTime<Utc>| match recurrence {
            Some(recurrence) => recurrence
                .to_local(instant)
                .format("%Y-%m-%d %H:%M")
                .to_string(),
            None => instant.format("%Y-%m-%d %H:%M UTC").to_string(),
        };
        for run in self.active {
            let state = if run.process.is_alive() {
                "runs"
            } else {
                "ended while no scheduler was running; continues with the next tick"
            };
            write!(
                formatter,
                "\n  now    {} {state} (process {}, {})",
                shown(run.scheduled),
                run.process.id,
                run.log.display()
            )?;
        }
        if let Some(first) = self.pending.first() {
            write!(
                formatter,
                "\n  waits  {} ({} in all)",
                shown(first.scheduled),
                self.pending.len()
            )?;
        }
        if let Some(run) = self.history.last() {
            write!(
                formatter,
                "\n  last   {} {} ({})",
                shown(run.scheduled),
                run.outcome,
                run.log.display()
            )?;
        }
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct Occurrences<'a> {
    version: u32,
    occurrences: Vec<Occurrence<'a>>,
}

#[derive(Debug, Serialize)]
struct Occurrence<'a> {
    schedule: &'a str,
    /// The occurrence in the schedule's time zone.
    at: String,
    utc: String,
    #[serde(skip)]
    text: String,
}

/// Prints the next occurrences of all schedules, in the order of time.
pub(super) fn next(arguments: &NextArguments) -> Result<ExitCode, RunnerError> {
    let table = arguments.state.store()?.read()?;
    let selected: Vec<(&str, &ScheduleEntry)> = match &arguments.name {
        Some(name) => vec![(name, table.entry(name)?)],
        None => table
            .schedules
            .iter()
            .map(|(name, entry)| (name.as_str(), entry))
            .collect(),
    };
    let now = SystemClock.now();
    let count = usize::from(arguments.count);
    let mut occurrences = Vec::new();
    for (name, entry) in selected {
        let recurrence = entry.recurrence()?;
        for occurrence in recurrence.iter_after(now).take(count) {
            occurrences.push((occurrence, recurrence.to_local(occurrence), name));
        }
    }
    occurrences.sort_by_key(|(occurrence, _, name)| (*occurrence, *name));
    occurrences.truncate(count);
    let next = Occurrences {
        version: VERSION,
        occurrences: occurrences
            .into_iter()
            .map(|(utc, local, schedule)| Occurrence {
                schedule,
                at: local.to_rfc3339(),
                utc: utc_text(utc),
                text: local.format("%a %Y-%m-%d %H:%M %Z").to_string(),
            })
            .collect(),
    };
    print(&next, Format::from_flag(arguments.state.json))?;
    Ok(ExitCode::Success)
}

impl Output for Occurrences<'_> {
    fn print_text(&self) {
        for Occurrence { schedule, text, .. } in &self.occurrences {
            outln!("{text}  {schedule}");
        }
    }
}
