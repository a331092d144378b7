use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use chrono::{DateTime, Utc};

use super::{Outcome, Process, Schedule};
use crate::executor::process::ProcessGroup;

/// Logs kept for each schedule.
const LOGS: usize = 60;

/// What starts sweeps, so that tests need none.
pub trait Launcher {
    /// A sweep that was started.
    type Launched: Launched;

    /// Starts the sweep of an occurrence.
    ///
    /// # Errors
    /// When the system does not let it.
    fn launch(
        &mut self,
        name: &str,
        schedule: &Schedule,
        scheduled: DateTime<Utc>,
        attempt: usize,
    ) -> std::io::Result<Self::Launched>;

    /// Whether a process that another scheduler started still runs.
    fn is_alive(&self, process: &Process) -> bool;
}

/// A sweep that was started.
pub trait Launched {
    /// Its process.
    fn process(&self) -> Process;

    /// Its log.
    fn log(&self) -> &Path;

    /// How it ended, once it has.
    fn ended(&mut self) -> Option<Outcome>;

    /// Sends it a signal.
    fn signal(&mut self, signal: i32);
}

/// Starts `offmodel sweep`, with its output in a log of its own.
#[derive(Debug)]
pub struct SweepLauncher {
    program: PathBuf,
    logs: PathBuf,
}

/// `offmodel sweep` at work.
#[derive(Debug)]
pub struct SweepProcess {
    child: Child,
    process: Process,
    log: PathBuf,
}

impl SweepLauncher {
    /// With the program `offmodel`, and a folder for logs.
    pub fn new(program: PathBuf, logs: PathBuf) -> Self {
        Self { program, logs }
    }
}

impl Launcher for SweepLauncher {
    type Launched = SweepProcess;

    fn launch(
        &mut self,
        name: &str,
        schedule: &Schedule,
        scheduled: DateTime<Utc>,
        attempt: usize,
    ) -> std::io::Result<SweepProcess> {
        let folder = self.logs.join(name);
        fs::create_dir_all(&folder)?;
        let stamp = scheduled.format("%Y-%m-%dT%H%MZ");
        let log = folder.join(format!("{stamp}-{attempt}.log"));
        let output = File::create(&log)?;
        remove_old(&folder);
        let child = Command::new(&self.program)
            .arg("sweep")
            .arg(&schedule.sweep)
            .args(["--date", &date(schedule, scheduled)])
            .args(&schedule.arguments)
            .current_dir(&schedule.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C is for the scheduler, which passes it on.
            .process_group(0)
            .spawn()?;
        // It was not waited for, so its number is still its own; a zombie has no start time.
        let process = Process::of(child.id()).unwrap_or(Process {
            id: child.id(),
            start: 0,
            boot: String::new(),
        });
        Ok(SweepProcess {
            child,
            process,
            log,
        })
    }

    fn is_alive(&self, process: &Process) -> bool {
        process.is_alive()
    }
}

impl Launched for SweepProcess {
    fn process(&self) -> Process {
        self.process.clone()
    }

    fn log(&self) -> &Path {
        &self.log
    }

    fn ended(&mut self) -> Option<Outcome> {
        let status = match self.child.try_wait() {
            Ok(status) => status?,
            Err(error) => {
                let reason = error.to_string();
                return Some(Outcome::NotStarted { reason });
            }
        };
        Some(match status.code() {
            Some(0) => Outcome::Succeeded,
            exit_code => Outcome::Failed { exit_code },
        })
    }

    fn signal(&mut self, signal: i32) {
        let group = i32::try_from(self.child.id())
            .ok()
            .and_then(ProcessGroup::led_by);
        if let Some(group) = group {
            group.signal(signal);
        }
    }
}

/// The day of an occurrence in the schedule's time zone, which `{date}` in a sweep's name means.
fn date(schedule: &Schedule, scheduled: DateTime<Utc>) -> String {
    let zone = schedule.timezone.parse().unwrap_or(chrono_tz::UTC);
    scheduled
        .with_timezone(&zone)
        .format("%Y-%m-%d")
        .to_string()
}

/// The names begin with the time, so that the oldest come first.
fn remove_old(folder: &Path) {
    let mut logs: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    let surplus = logs.len().saturating_sub(LOGS);
    for log in &logs[..surplus] {
        // One more old log does no harm.
        let _ = fs::remove_file(log);
    }
}
