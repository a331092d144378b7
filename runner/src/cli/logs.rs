use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use offmodel_events::Event;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::json::{VERSION, print_json_line};
use super::order::runtime;
use super::{LogsArguments, status};
use crate::error::RunnerError;
use crate::executor::slurm::query_live_jobs;
use crate::exit_code::ExitCode;
use crate::store::{Standing, SweepFolder};
use crate::sweep::Trial;
use crate::terminal::errln;

/// How often running trials are looked at.
const EVERY: Duration = Duration::from_millis(250);

/// How often Slurm is asked whether jobs go on, while no runner is at work.
const SLURM_EVERY: Duration = Duration::from_secs(5);

/// A line of `logs --json`.
#[derive(Debug, Serialize)]
struct LogDocument<'a> {
    version: u32,
    command: &'static str,
    sweep: String,
    trial: &'a str,
    attempt: usize,
    event: &'a Event,
}

/// Prints what the last attempts of a sweep's trials wrote, and their errors.
pub(super) fn logs(arguments: &LogsArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::view(&arguments.folder)?;
    let wanted = arguments.trial.as_deref().unwrap_or_default();
    let trials = status::submitted_trials(&folder)?;
    let trials: Vec<&Trial> = trials
        .iter()
        .filter(|trial| trial.id.starts_with(wanted))
        .collect();
    if trials.is_empty() {
        return Err(RunnerError::NoTrial {
            folder: folder.path().to_owned(),
            trial: wanted.to_owned(),
        });
    }
    let mut reader = LogReader {
        folder: &folder,
        json: arguments.json,
        last: None,
    };
    if arguments.follow {
        // All that a trial wrote if it was named, else what is yet to come.
        follow(&mut reader, &trials, arguments.trial.is_some())?;
    } else {
        for trial in trials {
            reader.read(&mut Place::at(trial, folder.state(&trial.id).attempts))?;
        }
    }
    Ok(ExitCode::Success)
}

/// Reads on and on, until no runner is at work and no job waits or runs in Slurm.
fn follow(
    reader: &mut LogReader<'_>,
    trials: &[&Trial],
    from_the_start: bool,
) -> Result<(), RunnerError> {
    let folder = reader.folder;
    let mut places: Vec<Place<'_>> = trials
        .iter()
        .filter_map(|trial| {
            let state = folder.state(&trial.id);
            match state.standing {
                Standing::Succeeded(_) if !from_the_start => None,
                // It may be tried again.
                Standing::Failed(_) | Standing::Cancelled(_) if !from_the_start => {
                    Some(Place::at(trial, state.attempts + 1))
                }
                _ => Some(Place::at(trial, state.attempts.max(1))),
            }
        })
        .collect();
    let mut jobs = Jobs::new()?;
    loop {
        // Asked before reading: what was written until then is read.
        let is_running = folder.runner().is_some() || jobs.go_on(folder)?;
        for place in &mut places {
            let has_ended = folder.result(&place.trial.id, place.attempt).is_some();
            reader.read(place)?;
            let next = place.attempt + 1;
            if has_ended || folder.attempt(&place.trial.id, next).is_dir() {
                *place = Place::at(place.trial, next);
            }
        }
        if !is_running {
            return Ok(());
        }
        std::thread::sleep(EVERY);
    }
}

/// Whether jobs of the sweep go on in Slurm, asked there now and then: its controller serves the
/// whole cluster.
struct Jobs {
    runtime: Runtime,
    /// When to ask next.
    next: Instant,
    go_on: bool,
    /// Whether it was said that nobody answers.
    told: bool,
}

impl Jobs {
    fn new() -> Result<Self, RunnerError> {
        Ok(Self {
            runtime: runtime()?,
            next: Instant::now(),
            go_on: false,
            told: false,
        })
    }

    /// As Slurm said last. While it does not answer, jobs may go on.
    fn go_on(&mut self, folder: &SweepFolder) -> Result<bool, RunnerError> {
        if Instant::now() < self.next {
            return Ok(self.go_on);
        }
        self.go_on = match self.runtime.block_on(query_live_jobs(folder)) {
            Ok(live) => {
                self.told = false;
                live.is_some_and(|live| !live.arrays.is_empty())
            }
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut self.told, true) {
                    errln!("{error}; jobs may go on there, so this goes on as well");
                }
                true
            }
            Err(error) => return Err(error.into()),
        };
        self.next = Instant::now() + SLURM_EVERY;
        Ok(self.go_on)
    }
}

/// How far an attempt's events were read.
struct Place<'a> {
    trial: &'a Trial,
    attempt: usize,
    offset: u64,
}

impl<'a> Place<'a> {
    fn at(trial: &'a Trial, attempt: usize) -> Self {
        Self {
            trial,
            attempt,
            offset: 0,
        }
    }
}

struct LogReader<'a> {
    folder: &'a SweepFolder,
    json: bool,
    /// Whose text was printed last.
    last: Option<(String, usize)>,
}

impl LogReader<'_> {
    /// Prints the whole lines behind a place, and moves it on.
    fn read(&mut self, place: &mut Place<'_>) -> Result<(), RunnerError> {
        let attempt = self.folder.attempt(&place.trial.id, place.attempt);
        let path = attempt.join("events.jsonl");
        if !path.is_file() {
            return Ok(());
        }
        self.read_lines(&path, place)
            .map_err(|error| RunnerError::Read {
                path,
                reason: error.to_string(),
            })?
    }

    fn read_lines(
        &mut self,
        path: &Path,
        place: &mut Place<'_>,
    ) -> std::io::Result<Result<(), RunnerError>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(place.offset))?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            place.offset += line.len() as u64;
            if let Ok(event) = serde_json::from_slice(&line)
                && let Err(error) = self.print(place, &event)
            {
                return Ok(Err(error));
            }
            line.clear();
        }
        Ok(Ok(()))
    }

    fn print(&mut self, place: &Place<'_>, event: &Event) -> Result<(), RunnerError> {
        let (trial, attempt) = (&place.trial.id, place.attempt);
        if self.json {
            return print_json_line(&LogDocument {
                version: VERSION,
                command: "logs",
                sweep: self.folder.name(),
                trial,
                attempt,
                event,
            });
        }
        let whose = (trial.clone(), attempt);
        if self.last.as_ref() != Some(&whose) {
            say(&format!("== trial {trial}, attempt {attempt}\n"));
            self.last = Some(whose);
        }
        match event {
            Event::Stream { text, .. } => say(text),
            Event::Error { error } => say(&format!("{}: {}\n", error.name, error.value)),
            _ => {}
        }
        Ok(())
    }
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
    let mut stdout = std::io::stdout();
    let _ = write!(stdout, "{harmless}").and_then(|()| stdout.flush());
}
