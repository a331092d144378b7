//! `offmodel schedule add` and `remove`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use offmodel_program::Notebook;
use serde::Serialize;

use super::{AddArguments, NamedArguments, utc_text};
use crate::cli::check_sweep_arguments;
use crate::cli::output::{Format, Output, VERSION, print};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::schedule::{Clock, Recurrence, Schedule, ScheduleEntry, ScheduleError, SystemClock};
use crate::store::DataHasher;
use crate::sweep::{SweepSpec, expand_trials};
use crate::terminal::{errln, outln};

#[derive(Debug, Serialize)]
struct AddedSchedule {
    version: u32,
    name: String,
    schedule: Schedule,
    /// The next occurrence, in UTC.
    next: Option<String>,
    /// The next occurrence in the schedule's time zone.
    #[serde(skip)]
    local_next: Option<String>,
    /// The name in the sweep file, if every run continues the same sweep.
    #[serde(skip)]
    continued_sweep: Option<String>,
    #[serde(skip)]
    sweep_file: PathBuf,
}

#[derive(Debug, Serialize)]
struct RemovedSchedule<'a> {
    version: u32,
    removed: &'a str,
    /// Processes of runs that continue.
    running: Vec<u32>,
}

/// Adds a schedule. Every mistake that can be found now is reported now, rather than at night.
pub(super) fn add(arguments: &AddArguments) -> Result<ExitCode, RunnerError> {
    let timezone = match &arguments.timezone {
        Some(zone) => zone.clone(),
        None => iana_time_zone::get_timezone().unwrap_or_else(|_| "UTC".to_owned()),
    };
    let recurrence = Recurrence::parse(&arguments.cron, &timezone)?;
    let spec = check_sweep_file(&arguments.sweep)?;
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
    arguments.state.store()?.update(|table| {
        let mut entry = ScheduleEntry::new(schedule.clone(), now);
        if let Some(replaced) = table.schedules.get(&name) {
            if !arguments.replace {
                return Err(ScheduleError::Taken { name: name.clone() }.into());
            }
            entry.active = replaced.active.clone();
            entry.history = replaced.history.clone();
        }
        table.schedules.insert(name.clone(), entry);
        Ok(())
    })?;
    let next = recurrence.next_after(now);
    let added = AddedSchedule {
        version: VERSION,
        name,
        schedule,
        next: next.map(utc_text),
        local_next: next.map(|next| recurrence.to_local(next).to_string()),
        continued_sweep: (!spec.name.contains(SweepSpec::DATE)).then_some(spec.name),
        sweep_file: arguments.sweep.clone(),
    };
    print(&added, Format::from_flag(arguments.state.json))?;
    Ok(ExitCode::Success)
}

impl Output for AddedSchedule {
    fn print_text(&self) {
        if let Some(next) = &self.local_next {
            outln!("schedule {}: next at {next}", self.name);
        }
        if let Some(sweep) = &self.continued_sweep {
            errln!(
                "every run continues the sweep {sweep} and skips trials that are done; for a new sweep each time, give {} a name with {{date}}",
                self.sweep_file.display()
            );
        }
        errln!(
            "schedules run while `offmodel schedule daemon` does, or through systemd: `offmodel schedule units`"
        );
    }
}

/// Removes a schedule; its active runs continue.
pub(super) fn remove(arguments: &NamedArguments) -> Result<ExitCode, RunnerError> {
    let name = &arguments.name;
    let entry = arguments.state.store()?.update(|table| {
        let entry = table.entry(name)?.clone();
        table.schedules.remove(name);
        Ok(entry)
    })?;
    let removed = RemovedSchedule {
        version: VERSION,
        removed: name,
        running: entry
            .active
            .iter()
            .filter(|run| run.process.is_alive())
            .map(|run| run.process.id)
            .collect(),
    };
    print(&removed, Format::from_flag(arguments.state.json))?;
    Ok(ExitCode::Success)
}

impl Output for RemovedSchedule<'_> {
    fn print_text(&self) {
        outln!("removed schedule {}", self.removed);
        for process in &self.running {
            errln!("its sweep in process {process} continues; SIGTERM stops it in order");
        }
    }
}

/// Checks the sweep file and that its values fit the notebook.
fn check_sweep_file(path: &Path) -> Result<SweepSpec, RunnerError> {
    let spec = SweepSpec::read(path)?;
    let notebook = Notebook::read(&spec.notebook)?;
    let mut data = DataHasher::new(notebook.folder(), BTreeMap::new());
    let parameters = notebook.parameters()?;
    expand_trials(&spec, &parameters, &notebook.code_hash(), &mut |path| {
        data.hash(path)
    })?;
    Ok(spec)
}

/// Checks that a name can be part of the names of files and systemd units.
fn check_name(name: &str) -> Result<(), ScheduleError> {
    const MAX_CHARACTERS: usize = 100;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let is_valid = name.chars().all(allowed)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= MAX_CHARACTERS;
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

fn absolute(path: &Path) -> Result<PathBuf, RunnerError> {
    path.canonicalize().map_err(|error| RunnerError::Read {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
