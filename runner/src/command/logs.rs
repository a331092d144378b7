use std::io::Write;

use offmodel_events::Event;

use super::{LogsArguments, status};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::store::SweepFolder;
use crate::trace::read_events;

/// Prints what the last attempts of a sweep's trials wrote, and their errors.
pub(super) fn logs(arguments: &LogsArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::view(&arguments.folder)?;
    let wanted = arguments.trial.as_deref().unwrap_or_default();
    let trials = status::submitted_trials(&folder)?;
    let mut found = false;
    for trial in trials.iter().filter(|trial| trial.id.starts_with(wanted)) {
        found = true;
        let attempts = folder.state(&trial.id).attempts;
        let path = folder.attempt(&trial.id, attempts).join("events.jsonl");
        if !path.is_file() {
            continue;
        }
        say(&format!("== trial {}, attempt {attempts}\n", trial.id));
        let read = read_events(&path, |event| match event {
            Event::Stream { text, .. } => say(&text),
            Event::Error { error } => say(&format!("{}: {}\n", error.name, error.value)),
            _ => {}
        });
        read.map_err(|error| RunnerError::Read {
            path,
            reason: error.to_string(),
        })?;
    }
    if found {
        return Ok(ExitCode::Success);
    }
    Err(RunnerError::NoTrial {
        folder: folder.path().to_owned(),
        trial: wanted.to_owned(),
    })
}

/// Writes text that a model may have written: control characters, which could move the cursor or
/// rename the window, are shown and not obeyed. A reader that has seen enough is no error.
fn say(text: &str) {
    let harmless: String = text
        .chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect();
    let _ = write!(std::io::stdout(), "{harmless}");
}
