//! Starts the sweeps of schedules.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use chrono::{DateTime, Utc};

use super::{ProcessIdentity, RunOutcome, Schedule};
use crate::executor::process::ProcessGroup;

/// Logs that are kept per schedule.
const MAX_LOGS: usize = 60;

/// Starts sweeps; tests replace it.
pub trait Launcher {
    /// A sweep that was started.
    type Launched: LaunchedSweep;

    /// Starts the sweep for an occurrence. `attempt` counts the starts of this run, from 1.
    ///
    /// # Errors
    /// The error of the system.
    fn launch(
        &mut self,
        name: &str,
        schedule: &Schedule,
        scheduled: DateTime<Utc>,
        attempt: usize,
    ) -> std::io::Result<Self::Launched>;

    /// Whether a process that another scheduler started still runs.
    fn is_alive(&self, process: &ProcessIdentity) -> bool;
}

/// A sweep that was started.
pub trait LaunchedSweep {
    /// The process of the sweep.
    fn process(&self) -> ProcessIdentity;

    /// The log with its output.
    fn log(&self) -> &Path;

    /// How the sweep ended; none while it runs.
    fn try_wait(&mut self) -> Option<RunOutcome>;

    /// Sends a signal to the sweep and its children.
    fn signal(&mut self, signal: i32);
}

/// Starts `offmodel sweep`, with its output in a log.
#[derive(Debug)]
pub struct SweepLauncher {
    program: PathBuf,
    logs: PathBuf,
}

/// A process of `offmodel sweep`.
#[derive(Debug)]
pub struct SweepProcess {
    child: Child,
    process: ProcessIdentity,
    log: PathBuf,
}

impl SweepLauncher {
    /// Starts `program`, the command `offmodel`, and writes logs to the folder `logs`.
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
        let time = scheduled.format("%Y-%m-%dT%H%MZ");
        let log = folder.join(format!("{time}-{attempt}.log"));
        let output = File::create(&log)?;
        remove_old_logs(&folder);
        let child = Command::new(&self.program)
            .arg("sweep")
            .arg(&schedule.sweep)
            .args(["--date", &date(schedule, scheduled)])
            .args(&schedule.arguments)
            .current_dir(&schedule.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Keeps Ctrl-C from reaching the sweep directly; the scheduler forwards it.
            .process_group(0)
            .spawn()?;
        // The child was not waited for, so its number is not used again. If it has ended already,
        // it has no start time.
        let process = ProcessIdentity::of(child.id()).unwrap_or(ProcessIdentity {
            id: child.id(),
            start_time: 0,
            boot_id: String::new(),
        });
        Ok(SweepProcess {
            child,
            process,
            log,
        })
    }

    fn is_alive(&self, process: &ProcessIdentity) -> bool {
        process.is_alive()
    }
}

impl LaunchedSweep for SweepProcess {
    fn process(&self) -> ProcessIdentity {
        self.process.clone()
    }

    fn log(&self) -> &Path {
        &self.log
    }

    fn try_wait(&mut self) -> Option<RunOutcome> {
        let status = match self.child.try_wait() {
            Ok(status) => status?,
            Err(error) => {
                let reason = error.to_string();
                return Some(RunOutcome::NotStarted { reason });
            }
        };
        Some(match status.code() {
            Some(0) => RunOutcome::Succeeded,
            exit_code => RunOutcome::Failed { exit_code },
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

/// The date of an occurrence in the schedule's time zone, which replaces `{date}` in the sweep's
/// name.
fn date(schedule: &Schedule, scheduled: DateTime<Utc>) -> String {
    let zone = schedule.timezone.parse().unwrap_or(chrono_tz::UTC);
    scheduled
        .with_timezone(&zone)
        .format("%Y-%m-%d")
        .to_string()
}

/// Removes the oldest logs. Names begin with the time, so they sort by age.
fn remove_old_logs(folder: &Path) {
    let mut logs: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    let surplus = logs.len().saturating_sub(MAX_LOGS);
    for log in &logs[..surplus] {
        // An old log that stays does no harm.
        let _ = fs::remove_file(log);
    }
}
