//! `schedules.json`: schedules and their progress.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use offmodel_support::suggestion;
use serde::{Deserialize, Serialize};

use super::{ProcessIdentity, Recurrence, ScheduleError};

/// The version of `schedules.json`.
pub const SCHEDULES_VERSION: u64 = 1;

/// Finished runs that an entry keeps.
const MAX_HISTORY: usize = 30;

/// All schedules, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleTable {
    /// Format version; other versions are refused.
    pub version: u64,
    /// The schedules.
    pub schedules: BTreeMap<String, ScheduleEntry>,
}

/// A schedule and its progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleEntry {
    /// The schedule as the user added it.
    pub schedule: Schedule,
    /// Every occurrence up to this moment has been decided.
    #[serde(rename = "settled")]
    pub decided_until: DateTime<Utc>,
    /// Runs that are to start, in order.
    #[serde(rename = "waiting")]
    pub pending: Vec<PendingRun>,
    /// Runs whose process was started and has not been seen to end.
    #[serde(rename = "running")]
    pub active: Vec<ActiveRun>,
    /// Runs that ended, the latest last.
    pub history: Vec<FinishedRun>,
}

/// A sweep that runs at certain times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The cron expression.
    pub cron: String,
    /// The IANA name of the time zone.
    pub timezone: String,
    /// The absolute path of the sweep file.
    pub sweep: PathBuf,
    /// The folder in which `offmodel sweep` is called.
    pub folder: PathBuf,
    /// Additional arguments of `offmodel sweep`.
    pub arguments: Vec<String>,
    /// What happens to missed occurrences.
    pub missed: MissedPolicy,
    /// Whether a run may start while another run of this schedule is active.
    pub overlap: bool,
}

/// What happens to occurrences that passed while no scheduler ran, or while an earlier run was
/// active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MissedPolicy {
    /// The latest of them runs.
    #[default]
    RunOnce,
    /// None of them runs.
    Skip,
    /// Each of them runs, one after the other.
    All,
}

/// A run that is to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRun {
    /// The occurrence.
    pub scheduled: DateTime<Utc>,
    /// How often the run was started before and cut short.
    #[serde(rename = "begun")]
    pub starts: usize,
}

/// A run that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveRun {
    /// The occurrence.
    pub scheduled: DateTime<Utc>,
    /// How often the run was started, this time included.
    pub attempt: usize,
    /// When it was started.
    pub started: DateTime<Utc>,
    /// The process of `offmodel sweep`.
    pub process: ProcessIdentity,
    /// The log with its output.
    pub log: PathBuf,
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedRun {
    /// The occurrence.
    pub scheduled: DateTime<Utc>,
    /// When it was started.
    pub started: DateTime<Utc>,
    /// When its end was noticed.
    pub ended: DateTime<Utc>,
    /// How it ended.
    pub outcome: RunOutcome,
    /// The log with its output.
    pub log: PathBuf,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunOutcome {
    /// `offmodel sweep` ended with exit code 0.
    Succeeded,
    /// `offmodel sweep` ended otherwise.
    Failed {
        /// The exit code, unless a signal ended the process.
        exit_code: Option<i32>,
    },
    /// The scheduler was stopped and stopped the run, which continues later.
    Stopped,
    /// The process ended while no scheduler could see how; the run continues later.
    Lost,
    /// The process could not be started.
    NotStarted {
        /// The error of the system.
        reason: String,
    },
}

impl ScheduleTable {
    /// The entry of a schedule.
    ///
    /// # Errors
    /// [`ScheduleError::Unknown`].
    pub fn entry(&self, name: &str) -> Result<&ScheduleEntry, ScheduleError> {
        self.schedules.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.schedules.keys().map(String::as_str).collect();
            ScheduleError::Unknown {
                name: name.to_owned(),
                hint: suggestion::hint(name, &names),
            }
        })
    }
}

impl Default for ScheduleTable {
    fn default() -> Self {
        Self {
            version: SCHEDULES_VERSION,
            schedules: BTreeMap::new(),
        }
    }
}

impl ScheduleEntry {
    /// A schedule whose first occurrence is the next one after `now`.
    pub fn new(schedule: Schedule, now: DateTime<Utc>) -> Self {
        Self {
            schedule,
            decided_until: now,
            pending: Vec::new(),
            active: Vec::new(),
            history: Vec::new(),
        }
    }

    /// The occurrences of the schedule.
    ///
    /// # Errors
    /// [`ScheduleError`], if another version of offmodel wrote an expression or a time zone that
    /// this one does not know.
    pub fn recurrence(&self) -> Result<Recurrence, ScheduleError> {
        Recurrence::parse(&self.schedule.cron, &self.schedule.timezone)
    }

    /// Adds a run to the history.
    pub fn record(&mut self, run: FinishedRun) {
        self.history.push(run);
        let surplus = self.history.len().saturating_sub(MAX_HISTORY);
        self.history.drain(..surplus);
    }
}

impl std::fmt::Display for RunOutcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Succeeded => formatter.write_str("succeeded"),
            Self::Failed {
                exit_code: Some(code),
            } => write!(formatter, "failed with exit code {code}"),
            Self::Failed { exit_code: None } => formatter.write_str("was ended by a signal"),
            Self::Stopped => formatter.write_str("was stopped with the scheduler"),
            Self::Lost => formatter.write_str("ended while no scheduler was running"),
            Self::NotStarted { reason } => write!(formatter, "could not be started: {reason}"),
        }
    }
}
