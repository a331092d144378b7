use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{NextArguments, StateArguments};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::schedule::{Clock, Entry, Run, ScheduleError, SystemClock, Timetable};
use crate::terminal::outln;

/// Shows all schedules.
pub(super) fn list(arguments: &StateArguments) -> Result<ExitCode, RunnerError> {
    let ledger = arguments.ledger()?.read()?;
    let now = SystemClock.now();
    if arguments.json {
        let schedules: Vec<Value> = ledger
            .schedules
            .iter()
            .map(|(name, entry)| as_json(name, entry, now))
            .collect();
        let list = json!({ "version": 1, "schedules": schedules });
        outln!("{list:#}");
        return Ok(ExitCode::Success);
    }
    if ledger.schedules.is_empty() {
        outln!("no schedules; `offmodel schedule add` makes one");
    }
    for (name, entry) in &ledger.schedules {
        outln!("{}", readable(name, entry, now));
    }
    Ok(ExitCode::Success)
}

/// Shows the next occurrences, all schedules in one order.
pub(super) fn next(arguments: &NextArguments) -> Result<ExitCode, RunnerError> {
    let ledger = arguments.state.ledger()?.read()?;
    let chosen: Vec<(&str, &Entry)> = match &arguments.name {
        Some(name) => vec![(name, ledger.entry(name)?)],
        None => ledger
            .schedules
            .iter()
            .map(|(name, entry)| (name.as_str(), entry))
            .collect(),
    };
    let now = SystemClock.now();
    let count = usize::from(arguments.count);
    let mut occurrences = Vec::new();
    for (name, entry) in chosen {
        let timetable = entry.timetable()?;
        for occurrence in timetable.all_after(now).take(count) {
            occurrences.push((occurrence, timetable.local(occurrence), name));
        }
    }
    occurrences.sort_by_key(|(occurrence, _, name)| (*occurrence, *name));
    occurrences.truncate(count);
    if arguments.state.json {
        let occurrences: Vec<Value> = occurrences
            .iter()
            .map(|(utc, local, name)| json!({ "schedule": name, "at": local.to_rfc3339(), "utc": in_utc(*utc) }))
            .collect();
        let next = json!({ "version": 1, "occurrences": occurrences });
        outln!("{next:#}");
        return Ok(ExitCode::Success);
    }
    for (_, local, name) in occurrences {
        outln!("{}  {name}", local.format("%a %Y-%m-%d %H:%M %Z"));
    }
    Ok(ExitCode::Success)
}

fn as_json(name: &str, entry: &Entry, now: DateTime<Utc>) -> Value {
    json!({
        "name": name,
        "schedule": entry.schedule,
        "next": next_of(entry, now).ok().flatten().map(|(_, next)| in_utc(next)),
        "settled": in_utc(entry.settled),
        "waiting": entry.waiting,
        "running": entry.running.iter().filter(|running| running.process.is_alive()).collect::<Vec<_>>(),
        "history": entry.history,
    })
}

fn readable(name: &str, entry: &Entry, now: DateTime<Utc>) -> String {
    let schedule = &entry.schedule;
    let mut text = format!(
        "{name}: {} ({}), {}",
        schedule.cron,
        schedule.timezone,
        schedule.sweep.display()
    );
    let local = match next_of(entry, now) {
        Ok(Some((timetable, next))) => {
            text.push_str(&format!(
                "\n  next   {}",
                timetable.local(next).format("%a %Y-%m-%d %H:%M %Z")
            ));
            Some(timetable)
        }
        Ok(None) => None,
        Err(error) => {
            text.push_str(&format!("\n  error  {error}"));
            None
        }
    };
    let shown = |instant: DateTime<Utc>| match &local {
        Some(timetable) => timetable
            .local(instant)
            .format("%Y-%m-%d %H:%M")
            .to_string(),
        None => instant.format("%Y-%m-%d %H:%M UTC").to_string(),
    };
    for running in &entry.running {
        let state = if running.process.is_alive() {
            "runs"
        } else {
            "ended unseen; goes on with the next look"
        };
        text.push_str(&format!(
            "\n  now    {} {state} (process {}, {})",
            shown(running.scheduled),
            running.process.id,
            running.log.display()
        ));
    }
    if let Some(waiting) = entry.waiting.first() {
        text.push_str(&format!(
            "\n  waits  {} ({} in all)",
            shown(waiting.scheduled),
            entry.waiting.len()
        ));
    }
    if let Some(Run {
        scheduled,
        outcome,
        log,
        ..
    }) = entry.history.last()
    {
        text.push_str(&format!(
            "\n  last   {} {outcome} ({})",
            shown(*scheduled),
            log.display()
        ));
    }
    text
}

fn next_of(
    entry: &Entry,
    now: DateTime<Utc>,
) -> Result<Option<(Timetable, DateTime<Utc>)>, ScheduleError> {
    let timetable = entry.timetable()?;
    Ok(timetable.after(now).map(|next| (timetable, next)))
}

fn in_utc(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}
