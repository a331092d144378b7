//! What a runner and a serving program say to each other, one JSON object a line.
//!
//! Requests arrive on the program's standard input; reports leave on the descriptor named by
//! [`REPORTS_VARIABLE`], because standard output belongs to the C libraries inside. The end of
//! the input ends the program and every attempt that still runs.
//!
//! This file is compiled into both sides: into the prelude, and into `offmodel-program`, which
//! knows the prelude only as a built file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The environment variable that names the inherited descriptor for reports.
pub const REPORTS_VARIABLE: &str = "OFFMODEL_REPORTS_FD";

/// The version of an attempt's `spec.json` that programs read.
pub const SPEC_VERSION: u64 = 1;

/// The exit codes of a program.
pub mod exit_code {
    /// Every cell ran.
    pub const SUCCESS: i32 = 0;
    /// A cell failed; its error is the last event `error`.
    pub const CELL_FAILED: i32 = 1;
    /// The runtime around the cells failed, for example because a file could not be written.
    pub const RUNTIME_FAILED: i32 = 101;
    /// The cells ended, but part of what they showed could not be written to `events.jsonl`.
    pub const EVENTS_LOST: i32 = 102;
}

/// A request to run one attempt, described by `spec.json` in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRequest {
    /// The attempt's folder; names it in the reports.
    pub folder: PathBuf,
    /// Environment variables for this attempt alone.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The logical cores that it may run on, as the system numbers them; none: those of the
    /// program.
    #[serde(default)]
    pub cores: Vec<usize>,
}

/// What a serving program reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// Everything is loaded.
    Ready,
    /// An attempt runs, as the leader of a process group of its own.
    Started {
        /// Its folder.
        folder: PathBuf,
        /// Its process and process group.
        process: i32,
    },
    /// An attempt could not be started.
    Refused {
        /// Its folder.
        folder: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// An attempt's process ended.
    Ended {
        /// Its folder.
        folder: PathBuf,
        /// How.
        ending: ExitStatus,
    },
}

/// How a process ended and what it used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// Its exit code, unless a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Wall-clock time in seconds.
    pub seconds: f64,
    /// The most memory it held at once, in bytes; pages shared with its parent count.
    pub peak_memory: u64,
}
