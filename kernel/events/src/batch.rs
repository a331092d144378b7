//! The protocol between a runner and a serving program: one JSON object a line.
//!
//! Requests arrive on the program's standard input. Reports leave on the file descriptor named by
//! [`REPORTS_FD`](offmodel_support::environment::REPORTS_FD), because C libraries write to standard
//! output. At the end of the input, the program kills all running attempts and exits.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The version of an attempt's `spec.json`; programs reject any other.
pub const SPEC_VERSION: u64 = 1;

/// The exit codes of a program.
pub mod exit_code {
    /// Every cell ran.
    pub const SUCCESS: i32 = 0;
    /// A cell failed; its error is the last `error` event.
    pub const CELL_FAILED: i32 = 1;
    /// The runtime around the cells failed, for example because a file could not be written.
    pub const RUNTIME_FAILED: i32 = 101;
    /// Every cell ran, but some events could not be written to `events.jsonl`.
    pub const EVENTS_LOST: i32 = 102;
}

/// A request to run one attempt, described by `spec.json` in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRequest {
    /// The attempt's folder, which identifies the attempt in reports.
    pub folder: PathBuf,
    /// Environment variables for this attempt alone.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The logical cores to run on, numbered as Linux numbers them; empty for those of the program.
    #[serde(default)]
    pub cores: Vec<usize>,
}

/// A message from a serving program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// The program has loaded its libraries and accepts requests.
    Ready,
    /// An attempt runs, as the leader of a process group of its own.
    Started {
        /// The attempt's folder.
        folder: PathBuf,
        /// The attempt's process and process group.
        process: i32,
    },
    /// An attempt could not be started.
    Refused {
        /// The attempt's folder.
        folder: PathBuf,
        /// The operating system's error message.
        reason: String,
    },
    /// An attempt's process ended.
    Ended {
        /// The attempt's folder.
        folder: PathBuf,
        /// How the process ended.
        #[serde(rename = "ending")]
        exit_status: ExitStatus,
    },
}

/// How an attempt's process ended, and what it used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// The exit code, unless a signal ended the process.
    pub exit_code: Option<i32>,
    /// The signal that ended the process.
    pub signal: Option<i32>,
    /// Wall-clock time in seconds.
    pub seconds: f64,
    /// Peak resident memory in bytes, including pages shared with the serving program.
    pub peak_memory: u64,
}
