//! `offmodel logs`.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use offmodel_events::Event;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::LogsArguments;
use super::output::{Format, Output, VERSION, print};
use crate::error::RunnerError;
use crate::executor::slurm::query_live_jobs;
use crate::exit_code::ExitCode;
use crate::runtime;
use crate::store::{SweepFolder, TrialStatus};
use crate::sweep::{Trial, submitted_trials};
use crate::terminal::errln;

/// How often the events of running trials are read.
const READ_INTERVAL: Duration = Duration::from_millis(250);

/// How often Slurm is asked for live jobs: its controller serves the whole cluster.
const SLURM_INTERVAL: Duration = Duration::from_secs(5);

/// One event of an attempt.
#[derive(Debug, Serialize)]
struct LogEvent<'a> {
    version: u32,
    command: &'static str,
    sweep: &'a str,
    trial: &'a str,
    attempt: usize,
    event: &'a Event,
}

/// Prints the output and the errors of the trials' last attempts.
pub(super) fn logs(arguments: &LogsArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::open_read_only(&arguments.folder)?;
    let prefix = arguments.trial.as_deref().unwrap_or_default();
    let trials = submitted_trials(&folder)?;
    let trials: Vec<&Trial> = trials
        .iter()
        .filter(|trial| trial.id.starts_with(prefix))
        .collect();
    if trials.is_empty() {
        return Err(RunnerError::NoTrial {
            folder: folder.path().to_owned(),
            trial: prefix.to_owned(),
        });
    }
    let mut printer = LogPrinter {
        name: folder.name(),
        folder: &folder,
        format: Format::lines_from_flag(arguments.json),
        last_printed: None,
    };
    if arguments.follow {
        follow(&mut printer, &trials, arguments.trial.is_some())?;
    } else {
        for trial in trials {
            let attempts = folder.summary(&trial.id).attempts;
            printer.print_new_events(&mut Cursor::start_of(trial, attempts))?;
        }
    }
    Ok(ExitCode::Success)
}

/// Prints events as they are written, until no runner is at work and no job is in Slurm. With
/// `from_start`, earlier events of finished trials are printed first.
fn follow(
    printer: &mut LogPrinter<'_>,
    trials: &[&Trial],
    from_start: bool,
) -> Result<(), RunnerError> {
    let folder = printer.folder;
    let mut cursors: Vec<Cursor<'_>> = trials
        .iter()
        .filter_map(|trial| {
            let summary = folder.summary(&trial.id);
            match summary.status {
                TrialStatus::Succeeded if !from_start => None,
                // A further attempt may follow.
                TrialStatus::Failed | TrialStatus::Cancelled if !from_start => {
                    Some(Cursor::start_of(trial, summary.attempts + 1))
                }
                _ => Some(Cursor::start_of(trial, summary.attempts.max(1))),
            }
        })
        .collect();
    let mut jobs = JobWatch::new()?;
    loop {
        // Asked before reading, so that events written until the runner ended are not missed.
        let is_running = folder.runner().is_some() || jobs.are_live(folder)?;
        for cursor in &mut cursors {
            let (trial, attempt) = (&cursor.trial.id, cursor.attempt);
            let has_ended = folder.result(trial, attempt).is_some();
            printer.print_new_events(cursor)?;
            let next = attempt + 1;
            if has_ended || folder.attempt(trial, next).is_dir() {
                *cursor = Cursor::start_of(cursor.trial, next);
            }
        }
        if !is_running {
            return Ok(());
        }
        std::thread::sleep(READ_INTERVAL);
    }
}

/// Asks Slurm, at most once per [`SLURM_INTERVAL`], whether the sweep has live jobs.
struct JobWatch {
    runtime: Runtime,
    next_query: Instant,
    are_live: bool,
    /// Whether the user knows that Slurm does not answer.
    has_warned: bool,
}

impl JobWatch {
    fn new() -> Result<Self, RunnerError> {
        Ok(Self {
            runtime: runtime::multi_thread()?,
            next_query: Instant::now(),
            are_live: false,
            has_warned: false,
        })
    }

    /// Slurm's last answer. While Slurm does not answer, jobs may be live.
    fn are_live(&mut self, folder: &SweepFolder) -> Result<bool, RunnerError> {
        if Instant::now() < self.next_query {
            return Ok(self.are_live);
        }
        self.are_live = match self.runtime.block_on(query_live_jobs(folder)) {
            Ok(live) => {
                self.has_warned = false;
                live.is_some_and(|live| !live.arrays.is_empty())
            }
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    errln!("{error}; jobs may still run there, so waiting for it to answer");
                }
                true
            }
            Err(error) => return Err(error.into()),
        };
        self.next_query = Instant::now() + SLURM_INTERVAL;
        Ok(self.are_live)
    }
}

/// How far the events of an attempt were read.
struct Cursor<'a> {
    trial: &'a Trial,
    attempt: usize,
    /// The offset in `events.jsonl`, in bytes.
    offset: u64,
}

impl<'a> Cursor<'a> {
    fn start_of(trial: &'a Trial, attempt: usize) -> Self {
        Self {
            trial,
            attempt,
            offset: 0,
        }
    }
}

struct LogPrinter<'a> {
    folder: &'a SweepFolder,
    /// The sweep's name.
    name: String,
    format: Format,
    /// The trial and attempt whose text was printed last.
    last_printed: Option<(String, usize)>,
}

impl LogPrinter<'_> {
    /// Prints the complete lines after the cursor, and advances it.
    fn print_new_events(&mut self, cursor: &mut Cursor<'_>) -> Result<(), RunnerError> {
        let attempt = self.folder.attempt(&cursor.trial.id, cursor.attempt);
        let path = attempt.join("events.jsonl");
        if !path.is_file() {
            return Ok(());
        }
        let failed = |error: std::io::Error| RunnerError::Read {
            path: path.clone(),
            reason: error.to_string(),
        };
        let mut file = File::open(&path).map_err(failed)?;
        file.seek(SeekFrom::Start(cursor.offset)).map_err(failed)?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            let bytes = reader.read_until(b'\n', &mut line).map_err(failed)?;
            // Without a newline, the line is still being written.
            if !line.ends_with(b"\n") {
                return Ok(());
            }
            cursor.offset += bytes as u64;
            // Lines that are no event come from a newer program.
            if let Ok(event) = serde_json::from_slice(&line) {
                self.print_event(cursor, &event)?;
            }
            line.clear();
        }
    }

    fn print_event(&mut self, cursor: &Cursor<'_>, event: &Event) -> Result<(), RunnerError> {
        let (trial, attempt) = (&cursor.trial.id, cursor.attempt);
        let source = (trial.clone(), attempt);
        if self.format == Format::Text && self.last_printed.as_ref() != Some(&source) {
            print_sanitized(&format!("== trial {trial}, attempt {attempt}\n"));
            self.last_printed = Some(source);
        }
        let event = LogEvent {
            version: VERSION,
            command: "logs",
            sweep: &self.name,
            trial,
            attempt,
            event,
        };
        print(&event, self.format)
    }
}

impl Output for LogEvent<'_> {
    fn print_text(&self) {
        match self.event {
            Event::Stream { text, .. } => print_sanitized(text),
            Event::Error { error } => {
                print_sanitized(&format!("{}: {}\n", error.name, error.value))
            }
            _ => {}
        }
    }
}

/// Writes text that a model may have generated. Control characters, which could move the cursor or
/// rename the terminal's window, are replaced. A closed standard output is no error.
fn print_sanitized(text: &str) {
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
