use serde_json::{Value, json};

use super::UnitsArguments;
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::schedule::units::{Surroundings, Unit, of_daemon, of_schedule, settings};
use crate::schedule::{Entry, ScheduleError};
use crate::store::write_atomically;
use crate::terminal::{errln, outln};

/// Prints or writes units for systemd.
pub(super) fn units(arguments: &UnitsArguments) -> Result<ExitCode, RunnerError> {
    let units = made(arguments)?;
    let Some(folder) = &arguments.output else {
        if arguments.state.json {
            let units: Vec<Value> = units
                .iter()
                .map(|unit| json!({ "name": unit.name, "text": unit.text }))
                .collect();
            let units = json!({ "version": 1, "units": units });
            outln!("{units:#}");
        } else {
            for unit in &units {
                outln!("# {}\n{}", unit.name, unit.text);
            }
        }
        return Ok(ExitCode::Success);
    };
    std::fs::create_dir_all(folder).map_err(|source| ScheduleError::Write {
        path: folder.clone(),
        source,
    })?;
    let mut paths = Vec::new();
    for unit in &units {
        let path = folder.join(&unit.name);
        write_atomically(&path, unit.text.as_bytes())?;
        paths.push(path);
    }
    if arguments.state.json {
        let written = json!({ "version": 1, "written": paths });
        outln!("{written:#}");
        return Ok(ExitCode::Success);
    }
    for path in &paths {
        outln!("{}", path.display());
    }
    let started: Vec<&str> = units
        .iter()
        .map(|unit| unit.name.as_str())
        .filter(|name| arguments.daemon || name.ends_with(".timer"))
        .collect();
    errln!(
        "to start them: systemctl --user daemon-reload && systemctl --user enable --now {}",
        started.join(" ")
    );
    errln!("to keep them while nobody is logged in: loginctl enable-linger");
    Ok(ExitCode::Success)
}

fn made(arguments: &UnitsArguments) -> Result<Vec<Unit>, RunnerError> {
    let file = arguments.state.ledger()?;
    let program = std::env::current_exe().map_err(|source| RunnerError::Kernel {
        path: "offmodel".into(),
        source,
    })?;
    let settings = settings();
    let surroundings = Surroundings {
        program: &program,
        state: file.folder(),
        settings: &settings,
    };
    if arguments.daemon {
        return Ok(vec![of_daemon(&surroundings)]);
    }
    let ledger = file.read()?;
    let chosen: Vec<(&String, &Entry)> = match &arguments.name {
        Some(name) => vec![(name, ledger.entry(name)?)],
        None => ledger.schedules.iter().collect(),
    };
    let mut units = Vec::new();
    for (name, entry) in chosen {
        units.extend(of_schedule(name, entry, &surroundings)?);
    }
    Ok(units)
}
