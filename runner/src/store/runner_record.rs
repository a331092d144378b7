//! `runner.json`: which runner is at work on a sweep.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use offmodel_support::{atomic_file, process};
use serde::{Deserialize, Serialize};

/// The version of `runner.json`.
const VERSION: u64 = 1;

/// The name of the record's file.
pub(super) const RUNNER_FILE: &str = "runner.json";

/// How often a runner renews its record.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// A record from another machine that was not renewed for this long belongs to a dead runner.
pub(super) const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(60);

/// The process that holds a sweep.
///
/// Process numbers are used again, across reboots and by every container. The process is therefore
/// identified by boot, PID namespace, number and start time together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerRecord {
    /// Format version; records of another version are ignored.
    pub version: u64,
    /// The machine's host name.
    pub host: String,
    /// The identifier that the kernel draws at every boot; it differs between machines too.
    #[serde(rename = "boot")]
    pub boot_id: String,
    /// The PID namespace in which `pid` is valid.
    #[serde(rename = "namespace")]
    pub pid_namespace: String,
    /// The process number.
    #[serde(rename = "process")]
    pub pid: i32,
    /// When the process started, in clock ticks since boot.
    #[serde(rename = "started")]
    pub start_time: u64,
    /// When the runner took the sweep, in RFC 3339.
    pub since: String,
    /// How many trials run at once.
    pub workers: usize,
}

impl RunnerRecord {
    /// A record of this process, as of now.
    pub(super) fn of_this_process(workers: usize) -> Self {
        let pid = process::own_pid();
        Self {
            version: VERSION,
            host: process::host_name(),
            boot_id: process::boot_id(),
            pid_namespace: process::pid_namespace(),
            pid,
            start_time: process::start_time(pid).unwrap_or_default(),
            since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            workers,
        }
    }

    pub(super) fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(RUNNER_FILE)).ok()?;
        let record: Self = serde_json::from_str(&text).ok()?;
        (record.version == VERSION).then_some(record)
    }

    /// Whether the record comes from this machine since its last boot.
    pub(super) fn is_from_this_boot(&self) -> bool {
        self.boot_id == process::boot_id()
    }

    /// Whether this process can see and signal the runner.
    pub fn is_local(&self) -> bool {
        self.is_from_this_boot() && self.pid_namespace == process::pid_namespace()
    }

    /// Whether the runner is this process.
    pub fn is_this_process(&self) -> bool {
        self.is_local() && self.pid == process::own_pid()
    }

    /// Whether a runner that [is local](Self::is_local) still runs.
    pub fn is_alive(&self) -> bool {
        process::start_time(self.pid) == Some(self.start_time)
    }
}

impl std::fmt::Display for RunnerRecord {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "process {} on {}, since {}",
            self.pid, self.host, self.since
        )
    }
}

/// The runner that is at work on a sweep's folder.
///
/// A local runner is alive while its process is. One on another machine, or in another container,
/// is alive while it renews its record.
pub fn active_runner(folder: &Path) -> Option<RunnerRecord> {
    let record = RunnerRecord::read(folder)?;
    let is_active = if record.is_local() {
        record.is_alive()
    } else {
        has_heartbeat(folder)
    };
    is_active.then_some(record)
}

/// Whether the record was renewed within [`HEARTBEAT_TIMEOUT`].
///
/// Both times come from the file system's server, because the clocks of two machines may differ.
pub(super) fn has_heartbeat(folder: &Path) -> bool {
    let modified = |file: &Path| fs::metadata(file).and_then(|metadata| metadata.modified());
    let Ok(renewed) = modified(&folder.join(RUNNER_FILE)) else {
        return false;
    };
    let now = tempfile::Builder::new()
        .prefix(atomic_file::TEMPORARY_PREFIX)
        .tempfile_in(folder)
        .and_then(|file| modified(file.path()))
        .unwrap_or_else(|_| SystemTime::now());
    renewed > now
        || now
            .duration_since(renewed)
            .is_ok_and(|age| age < HEARTBEAT_TIMEOUT)
}
