//! Schedules and their progress, on disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ScheduleError, Timetable};
use crate::error::RunnerError;
use crate::store::write_atomically;
use crate::suggestion;

/// The version of `schedules.json`.
pub const LEDGER_VERSION: u64 = 1;

/// The folder of schedules, if it is not in the user's state folder.
const STATE_VARIABLE: &str = "OFFMODEL_STATE";

/// Ended runs that an entry remembers.
const HISTORY: usize = 30;

/// All schedules by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Of this structure.
    pub version: u64,
    /// The schedules.
    pub schedules: BTreeMap<String, Entry>,
}

/// A schedule and how far it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What was asked for.
    pub schedule: Schedule,
    /// Every occurrence up to here is decided.
    pub settled: DateTime<Utc>,
    /// Occurrences that are to run, in order.
    pub waiting: Vec<Waiting>,
    /// Those that run.
    pub running: Vec<Running>,
    /// Runs that ended, the latest last.
    pub history: Vec<Run>,
}

/// A sweep at appointed times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The cron expression, as given.
    pub cron: String,
    /// The IANA name of its time zone.
    pub timezone: String,
    /// The sweep file.
    pub sweep: PathBuf,
    /// The folder in which `offmodel sweep` is called.
    pub folder: PathBuf,
    /// Further arguments of `offmodel sweep`.
    pub arguments: Vec<String>,
    /// What becomes of missed occurrences.
    pub missed: Missed,
    /// Whether a run may begin while another one goes on.
    pub overlap: bool,
}

/// What becomes of occurrences that nobody was there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Missed {
    /// The latest of them runs.
    #[default]
    RunOnce,
    /// None runs.
    Skip,
    /// Each of them runs, one after the other.
    All,
}

/// An occurrence that is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The occurrence.
    pub scheduled: DateTime<Utc>,
    /// How often it began and was cut short.
    pub begun: usize,
}

/// An occurrence that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The occurrence.
    pub scheduled: DateTime<Utc>,
    /// Which beginning of it this is, from 1.
    pub attempt: usize,
    /// When it began.
    pub started: DateTime<Utc>,
    /// The sweep's process.
    pub process: Process,
    /// Its output.
    pub log: PathBuf,
}

/// A process of this machine, told apart from later ones with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub id: u32,
    /// When it started, in clock ticks since the machine did.
    pub start: u64,
    /// The start of the machine that it belongs to.
    pub boot: String,
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The occurrence.
    pub scheduled: DateTime<Utc>,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When its end was seen.
    pub ended: DateTime<Utc>,
    /// How it ended.
    pub outcome: Outcome,
    /// Its output.
    pub log: PathBuf,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Every trial is done.
    Succeeded,
    /// `offmodel sweep` ended with this code, documented by `offmodel --help`.
    Failed {
        /// The code, unless a signal ended it.
        exit_code: Option<i32>,
    },
    /// The scheduler was told to stop, and stopped it; it goes on later.
    Stopped,
    /// It ended while no scheduler was there to see how; it goes on later.
    Lost,
    /// The sweep could not be started.
    NotStarted {
        /// What the system said.
        reason: String,
    },
}

impl Entry {
    /// A schedule that begins now.
    pub fn new(schedule: Schedule, now: DateTime<Utc>) -> Self {
        Self {
            schedule,
            settled: now,
            waiting: Vec::new(),
            running: Vec::new(),
            history: Vec::new(),
        }
    }

    /// Its occurrences.
    ///
    /// # Errors
    /// When cron expression or time zone are not what this version knows.
    pub fn timetable(&self) -> Result<Timetable, ScheduleError> {
        Timetable::parse(&self.schedule.cron, &self.schedule.timezone)
    }

    /// Remembers a run that ended.
    pub fn remember(&mut self, run: Run) {
        self.history.push(run);
        let surplus = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..surplus);
    }
}

impl Ledger {
    /// A schedule by name.
    ///
    /// # Errors
    /// When there is none.
    pub fn entry(&self, name: &str) -> Result<&Entry, ScheduleError> {
        self.schedules.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.schedules.keys().map(String::as_str).collect();
            ScheduleError::Unknown {
                name: name.to_owned(),
                hint: suggestion::hint(name, &names),
            }
        })
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            version: LEDGER_VERSION,
            schedules: BTreeMap::new(),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Succeeded => formatter.write_str("succeeded"),
            Self::Failed {
                exit_code: Some(code),
            } => write!(formatter, "failed with exit code {code}"),
            Self::Failed { exit_code: None } => formatter.write_str("was ended by a signal"),
            Self::Stopped => formatter.write_str("was stopped with the scheduler"),
            Self::Lost => formatter.write_str("ended unseen"),
            Self::NotStarted { reason } => write!(formatter, "could not be started: {reason}"),
        }
    }
}

impl Process {
    /// A process that runs now, `None` if there is no such one.
    pub fn of(id: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The program's name, in parentheses, may hold anything.
        let (_, fields) = status.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // proc_pid_stat(5): the third field, the state, comes first here; a zombie has ended.
        if matches!(fields.first(), Some(&"Z" | &"X")) {
            return None;
        }
        Some(Self {
            id,
            start: fields.get(19)?.parse().ok()?,
            boot: boot()?,
        })
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.id).as_ref() == Some(self)
    }
}

fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// Where the ledger is kept: `schedules.json` in a folder that also holds the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerFile {
    folder: PathBuf,
}

impl LedgerFile {
    /// The ledger in a folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The ledger of this user: in `$OFFMODEL_STATE`, else `offmodel/schedules` in the user's
    /// state folder.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn of_user() -> Result<Self, ScheduleError> {
        match std::env::var_os(STATE_VARIABLE) {
            Some(folder) => std::path::absolute(folder).ok(),
            None => dirs::state_dir().map(|folder| folder.join("offmodel/schedules")),
        }
        .map(Self::new)
        .ok_or(ScheduleError::NoFolder)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it says now; nothing if there is no file yet.
    ///
    /// # Errors
    /// When the file is no ledger of a version that we know.
    pub fn read(&self) -> Result<Ledger, ScheduleError> {
        let path = self.file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Ledger::default());
            }
            Err(error) => {
                let reason = error.to_string();
                return Err(ScheduleError::Ledger { path, reason });
            }
        };
        parse(&text).map_err(|reason| ScheduleError::Ledger { path, reason })
    }

    /// Changes it, alone among all processes. What `change` refuses leaves the file as it was.
    ///
    /// # Errors
    /// What `change` says; when the file cannot be read, locked or written.
    pub fn update<T>(
        &self,
        change: impl FnOnce(&mut Ledger) -> Result<T, RunnerError>,
    ) -> Result<T, RunnerError> {
        let unwritable = |source| ScheduleError::Write {
            path: self.folder.clone(),
            source,
        };
        fs::create_dir_all(&self.folder).map_err(unwritable)?;
        // Not the ledger itself: that one is replaced by every change. Released with the file,
        // however this process ends.
        let lock = File::create(self.folder.join("lock")).map_err(unwritable)?;
        lock.lock().map_err(unwritable)?;
        let before = self.read()?;
        let mut ledger = before.clone();
        let result = change(&mut ledger)?;
        if ledger != before {
            let text = serde_json::to_string_pretty(&ledger).map_err(std::io::Error::other);
            let text = text.map_err(unwritable)?;
            write_atomically(&self.file(), format!("{text}\n").as_bytes())?;
        }
        Ok(result)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("schedules.json")
    }
}

fn parse(text: &str) -> Result<Ledger, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(LEDGER_VERSION) => serde_json::from_value(value).map_err(|error| error.to_string()),
        Some(other) => Err(format!(
            "version {other} is not known, expected {LEDGER_VERSION}: it was written by another offmodel"
        )),
        None => Err("it has no version".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = r#"{"version":1,"schedules":{"nightly":{"schedule":{"cron":"30 2 * * *","timezone":"Europe/Berlin","sweep":"/lab/nightly.toml","folder":"/lab","arguments":["--workers","2"],"missed":"run-once","overlap":false},"settled":"2026-03-29T01:00:00Z","waiting":[{"scheduled":"2026-03-29T01:00:00Z","begun":1}],"running":[],"history":[{"scheduled":"2026-03-28T01:30:00Z","started":"2026-03-28T01:30:01Z","ended":"2026-03-28T02:00:00Z","outcome":{"kind":"failed","exit_code":1},"log":"/state/logs/nightly/1.log"}]}}}"#;

    #[test]
    fn a_ledger_of_this_version_stays_readable() {
        let ledger = parse(WRITTEN).unwrap();
        assert_eq!(serde_json::to_string(&ledger).unwrap(), WRITTEN);
    }

    #[test]
    fn a_ledger_of_another_version_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(folder.path());
        fs::write(file.file(), r#"{"version":9}"#).unwrap();
        let error = file.update(|_| Ok(())).unwrap_err().to_string();
        assert!(
            error.contains("version 9 is not known, expected 1"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(file.file()).unwrap(), r#"{"version":9}"#);
    }

    #[test]
    fn many_processes_change_it_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(folder.path());
        let template = parse(WRITTEN).unwrap().schedules["nightly"].clone();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (file, template) = (&file, &template);
                scope.spawn(move || {
                    for number in 0..10 {
                        file.update(|ledger| {
                            let name = format!("{worker}-{number}");
                            ledger.schedules.insert(name, template.clone());
                            Ok(())
                        })
                        .unwrap();
                    }
                });
            }
        });
        assert_eq!(file.read().unwrap().schedules.len(), 40);
    }

    #[test]
    fn a_process_is_told_apart_from_a_later_one_with_its_number() {
        let own = Process::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        let earlier = Process {
            start: own.start - 1,
            ..own.clone()
        };
        assert!(!earlier.is_alive());
        let before_the_reboot = Process {
            boot: "another".to_owned(),
            ..own
        };
        assert!(!before_the_reboot.is_alive());
    }
}
