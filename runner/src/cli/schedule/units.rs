//! `offmodel schedule units`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::UnitsArguments;
use crate::cli::output::{Format, Output, VERSION, print};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::schedule::units::{Unit, UnitContext, copied_variables, daemon_unit, schedule_units};
use crate::schedule::{ScheduleEntry, ScheduleError};
use crate::store::write_atomically;
use crate::terminal::{errln, outln};

#[derive(Debug, Serialize)]
struct PrintedUnits {
    version: u32,
    units: Vec<Unit>,
}

#[derive(Debug, Serialize)]
struct WrittenUnits {
    version: u32,
    written: Vec<PathBuf>,
    /// The units that are to be enabled; systemd starts the others through them.
    #[serde(skip)]
    entry_points: Vec<String>,
}

/// Prints or writes units for systemd.
pub(super) fn units(arguments: &UnitsArguments) -> Result<ExitCode, RunnerError> {
    let format = Format::from_flag(arguments.state.json);
    let units = selected_units(arguments)?;
    match &arguments.output {
        None => {
            let printed = PrintedUnits {
                version: VERSION,
                units,
            };
            print(&printed, format)?;
        }
        Some(folder) => {
            let written = WrittenUnits {
                version: VERSION,
                written: write_units(&units, folder)?,
                entry_points: units
                    .iter()
                    .map(|unit| unit.name.clone())
                    .filter(|name| arguments.daemon || name.ends_with(".timer"))
                    .collect(),
            };
            print(&written, format)?;
        }
    }
    Ok(ExitCode::Success)
}

fn selected_units(arguments: &UnitsArguments) -> Result<Vec<Unit>, RunnerError> {
    let store = arguments.state.store()?;
    let program = std::env::current_exe().map_err(|source| RunnerError::Kernel {
        path: "offmodel".into(),
        source,
    })?;
    let variables = copied_variables();
    let context = UnitContext {
        program: &program,
        state: store.folder(),
        variables: &variables,
    };
    if arguments.daemon {
        return Ok(vec![daemon_unit(&context)]);
    }
    let table = store.read()?;
    let selected: Vec<(&String, &ScheduleEntry)> = match &arguments.name {
        Some(name) => vec![(name, table.entry(name)?)],
        None => table.schedules.iter().collect(),
    };
    let mut units = Vec::new();
    for (name, entry) in selected {
        units.extend(schedule_units(name, entry, &context)?);
    }
    Ok(units)
}

fn write_units(units: &[Unit], folder: &Path) -> Result<Vec<PathBuf>, RunnerError> {
    std::fs::create_dir_all(folder).map_err(|source| ScheduleError::Write {
        path: folder.to_owned(),
        source,
    })?;
    units
        .iter()
        .map(|unit| {
            let path = folder.join(&unit.name);
            write_atomically(&path, unit.text.as_bytes())?;
            Ok(path)
        })
        .collect()
}

impl Output for PrintedUnits {
    fn print_text(&self) {
        for unit in &self.units {
            outln!("# {}\n{}", unit.name, unit.text);
        }
    }
}

impl Output for WrittenUnits {
    fn print_text(&self) {
        for path in &self.written {
            outln!("{}", path.display());
        }
        errln!(
            "to start them: systemctl --user daemon-reload && systemctl --user enable --now {}",
            self.entry_points.join(" ")
        );
        errln!("to keep them running while nobody is logged in: loginctl enable-linger");
    }
}
