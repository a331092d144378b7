use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use offmodel_program::Notebook;
use serde_json::json;

use super::{AddArguments, NamedArguments};
use crate::cli::check_sweep_arguments;
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::schedule::{Clock, Entry, Schedule, ScheduleError, SystemClock, Timetable};
use crate::store::DataSet;
use crate::sweep::{SweepSpec, trials};
use crate::terminal::{errln, outln};

/// Adds a schedule, once everything that can be wrong with it by day has been looked at.
pub(super) fn add(arguments: &AddArguments) -> Result<ExitCode, RunnerError> {
    let timezone = match &arguments.timezone {
        Some(zone) => zone.clone(),
        None => iana_time_zone::get_timezone().unwrap_or_else(|_| "UTC".to_owned()),
    };
    let timetable = Timetable::parse(&arguments.cron, &timezone)?;
    let spec = check(&arguments.sweep)?;
    check_sweep_arguments(&arguments.sweep, &arguments.arguments)?;
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => file_stem(&arguments.sweep),
    };
    check_name(&name)?;
    let schedule = Schedule {
        cron: arguments.cron.clone(),
        timezone,
        sweep: absolute(&arguments.sweep)?,
        folder: absolute(Path::new("."))?,
        arguments: arguments.arguments.clone(),
        missed: arguments.missed,
        overlap: arguments.overlap,
    };
    let now = SystemClock.now();
    let ledger = arguments.state.ledger()?;
    ledger.update(|ledger| {
        let mut entry = Entry::new(schedule.clone(), now);
        if let Some(before) = ledger.schedules.get(&name) {
            if !arguments.replace {
                return Err(ScheduleError::Taken { name: name.clone() }.into());
            }
            entry.running = before.running.clone();
            entry.history = before.history.clone();
        }
        ledger.schedules.insert(name.clone(), entry);
        Ok(())
    })?;
    let next = timetable.after(now);
    if arguments.state.json {
        let added =
            json!({ "version": 1, "name": name, "schedule": schedule, "next": next.map(in_utc) });
        outln!("{added:#}");
        return Ok(ExitCode::Success);
    }
    if let Some(next) = next {
        outln!("schedule {name}: next at {}", timetable.local(next));
    }
    if !spec.name.contains(SweepSpec::DATE) {
        errln!(
            "every run continues the sweep {}: trials that are done are skipped; for a new sweep each night, give {} a name with {{date}}",
            spec.name,
            arguments.sweep.display()
        );
    }
    errln!("`offmodel schedule daemon` keeps schedules, or systemd: `offmodel schedule units`");
    Ok(ExitCode::Success)
}

/// Forgets a schedule.
pub(super) fn remove(arguments: &NamedArguments) -> Result<ExitCode, RunnerError> {
    let name = &arguments.name;
    let entry = arguments.state.ledger()?.update(|ledger| {
        let entry = ledger.entry(name)?.clone();
        ledger.schedules.remove(name);
        Ok(entry)
    })?;
    let running: Vec<u32> = entry
        .running
        .iter()
        .filter(|running| running.process.is_alive())
        .map(|running| running.process.id)
        .collect();
    if arguments.state.json {
        let removed = json!({ "version": 1, "removed": name, "running": running });
        outln!("{removed:#}");
        return Ok(ExitCode::Success);
    }
    outln!("removed schedule {name}");
    for process in running {
        errln!("its sweep in process {process} goes on; SIGTERM stops it in order");
    }
    Ok(ExitCode::Success)
}

/// A sweep file with a mistake, or one that does not fit its notebook, is told now rather than
/// at night.
fn check(sweep: &Path) -> Result<SweepSpec, RunnerError> {
    let spec = SweepSpec::read(sweep)?;
    let notebook = Notebook::read(&spec.notebook)?;
    let mut data = DataSet::new(notebook.folder(), BTreeMap::new());
    let parameters = notebook.parameters()?;
    trials(&spec, &parameters, &notebook.code_hash(), &mut |path| {
        data.hash(path)
    })?;
    Ok(spec)
}

fn check_name(name: &str) -> Result<(), ScheduleError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let is_valid = name.chars().all(allowed)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= 100;
    if is_valid {
        return Ok(());
    }
    Err(ScheduleError::Name {
        name: name.to_owned(),
    })
}

fn file_stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, RunnerError> {
    path.canonicalize().map_err(|error| RunnerError::Read {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn in_utc(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}
