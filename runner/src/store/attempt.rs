//! What an attempt is asked to do, and what became of it.

use offmodel_events::CellError;
use offmodel_events::batch::{ExitStatus, SPEC_VERSION, exit_code};
use serde::{Deserialize, Serialize};

use super::Provenance;
use crate::assignment::Assignment;
use crate::sweep::{DataHashes, Retry};

/// The version of `result.json`.
pub const RESULT_VERSION: u64 = 1;

/// An attempt's `spec.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecRecord {
    /// Of this structure.
    pub version: u64,
    /// The trial's identity.
    pub trial: String,
    /// The attempt's number, from 1.
    pub attempt: usize,
    /// The values given to the program.
    pub parameters: Assignment,
    /// These, and the defaults that are known without running.
    pub all_parameters: Assignment,
    /// Those of them that seed generators of random numbers: `seed`, and names that end with
    /// `_seed`.
    #[serde(default)]
    pub seeds: Assignment,
    /// The hashes of what it reads, by the path that its cells use.
    #[serde(default)]
    pub data: DataHashes,
    /// Where code and environment came from.
    pub provenance: Provenance,
}

impl SpecRecord {
    /// A spec of the current version, without data.
    pub fn new(
        trial: String,
        attempt: usize,
        parameters: Assignment,
        all_parameters: Assignment,
        provenance: Provenance,
    ) -> Self {
        let seeds = all_parameters
            .iter()
            .filter(|(name, _)| *name == "seed" || name.ends_with("_seed"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self {
            version: SPEC_VERSION,
            trial,
            attempt,
            parameters,
            all_parameters,
            seeds,
            data: DataHashes::new(),
            provenance,
        }
    }
}

/// An attempt's `result.json`: written last, and only for attempts that ran to an end of
/// their own or were cancelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptResult {
    /// Of this structure.
    pub version: u64,
    /// The trial's identity.
    pub trial: String,
    /// The attempt's number, from 1.
    pub attempt: usize,
    /// Whether every cell ran.
    pub status: Status,
    /// Why not.
    pub cause: Option<FailureReason>,
    /// The name of the program that it ran; results of earlier versions of offmodel lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// When it started, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// When it ended, in RFC 3339.
    pub ended: String,
    /// Wall-clock time in seconds.
    pub seconds: f64,
    /// The most memory that it held at once, in bytes.
    pub peak_memory: u64,
    /// The logical cores that it was kept on; empty: all of the machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cores: Vec<usize>,
    /// The GPUs that it was given, as in `CUDA_VISIBLE_DEVICES`; empty: as the runner sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<String>,
    /// Names of the frames that it recorded.
    pub frames: Vec<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every cell ran.
    Succeeded,
    /// It ended early.
    Failed,
    /// Somebody cancelled the trial.
    Cancelled,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FailureReason {
    /// A cell raised an error.
    Cell {
        /// The cell's number.
        cell: usize,
        /// The line in it, where known.
        line: Option<usize>,
        /// The error's kind.
        name: String,
        /// Its message.
        value: String,
    },
    /// A signal ended the program.
    Signal {
        /// Its number.
        signal: i32,
        /// The cell that ran.
        cell: Option<usize>,
    },
    /// The program ended itself with this code.
    Exit {
        /// The code.
        code: i32,
        /// The cell that ran.
        cell: Option<usize>,
    },
    /// It took longer than the sweep file allows.
    Timeout {
        /// The limit in seconds.
        limit: f64,
    },
    /// It held more memory than the sweep file allows.
    Memory {
        /// The limit in bytes.
        limit: u64,
        /// What it held when it was ended, in bytes.
        held: u64,
    },
    /// The cluster ended it before it could publish a result of its own.
    Cluster {
        /// Slurm's word for how: `CANCELLED`, `TIMEOUT`, `NODE_FAIL`, ...; `GONE` where it has
        /// forgotten the job.
        state: String,
        /// The job, as `squeue` names it.
        job: String,
        /// What else is known; may be empty.
        detail: String,
    },
    /// Somebody cancelled the trial.
    Cancelled,
    /// The program could not be started.
    NotStarted {
        /// What the system said.
        reason: String,
    },
}

impl FailureReason {
    /// How many retries a sweep file grants to failures of this kind.
    pub fn retries(&self, retry: &Retry) -> usize {
        match self {
            Self::Cell { .. } => retry.failure,
            Self::Timeout { .. } => retry.timeout,
            Self::Memory { .. } => retry.memory,
            // Whoever cancelled it meant it.
            Self::Cancelled => 0,
            Self::Cluster { state, .. } => match state.as_str() {
                "CANCELLED" => 0,
                "TIMEOUT" | "DEADLINE" => retry.timeout,
                "OUT_OF_MEMORY" => retry.memory,
                "PREEMPTED" | "NODE_FAIL" | "BOOT_FAIL" | "REVOKED" => retry.preemption,
                _ => retry.crash,
            },
            Self::Signal { .. } | Self::Exit { .. } | Self::NotStarted { .. } => retry.crash,
        }
    }
}

impl std::fmt::Display for FailureReason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let in_cell =
            |cell: &Option<usize>| cell.map_or_else(String::new, |cell| format!("cell {cell}: "));
        match self {
            Self::Cell {
                cell,
                line: Some(line),
                name,
                value,
            } => {
                write!(formatter, "cell {cell}, line {line}: {name}: {value}")
            }
            Self::Cell {
                cell,
                line: None,
                name,
                value,
            } => {
                write!(formatter, "cell {cell}: {name}: {value}")
            }
            Self::Signal { signal, cell } => {
                write!(
                    formatter,
                    "{}the program was ended by {}",
                    in_cell(cell),
                    signal_name(*signal)
                )
            }
            Self::Exit {
                code: exit_code::EVENTS_LOST,
                ..
            } => write!(
                formatter,
                "part of what the cells showed could not be written: is the disk full?"
            ),
            Self::Exit { code, cell } => {
                write!(
                    formatter,
                    "{}the program ended itself with exit code {code}",
                    in_cell(cell)
                )
            }
            Self::Timeout { limit } => write!(formatter, "took longer than the limit of {limit} s"),
            Self::Memory { limit, held } => write!(
                formatter,
                "held {} MB of memory, more than the limit of {} MB",
                held / 1_000_000,
                limit / 1_000_000
            ),
            Self::Cluster { state, job, detail } => {
                let what = match state.as_str() {
                    "CANCELLED" => "cancelled in Slurm",
                    "TIMEOUT" | "DEADLINE" => "ran into the job's time limit",
                    "OUT_OF_MEMORY" => "held more memory than its job may",
                    "PREEMPTED" | "NODE_FAIL" | "BOOT_FAIL" | "REVOKED" => {
                        "the cluster took it away"
                    }
                    _ => "its job ended without a result",
                };
                write!(formatter, "{what}: {state}, job {job}")?;
                if detail.is_empty() {
                    Ok(())
                } else {
                    write!(formatter, ": {detail}")
                }
            }
            Self::Cancelled => write!(formatter, "cancelled"),
            Self::NotStarted { reason } => write!(formatter, "not started: {reason}"),
        }
    }
}

/// The cause told by an error of a cell.
pub fn failure_of_cell_error(cell: usize, error: &CellError) -> FailureReason {
    FailureReason::Cell {
        cell,
        line: error.line,
        name: error.name.clone(),
        value: error.value.clone(),
    }
}

/// The cause told by how a process ended, `None` if it ended well. `cell` is the one that ran.
pub fn failure_of_exit_status(ending: &ExitStatus, cell: Option<usize>) -> Option<FailureReason> {
    match (ending.signal, ending.exit_code) {
        (Some(signal), _) => Some(FailureReason::Signal { signal, cell }),
        (None, Some(exit_code::SUCCESS)) if cell.is_none() => None,
        (None, code) => Some(FailureReason::Exit {
            code: code.unwrap_or(exit_code::RUNTIME_FAILED),
            cell,
        }),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGABRT => "SIGABRT, an abort",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGILL => "SIGILL",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL, possibly for lack of memory",
        libc::SIGSEGV => "SIGSEGV, an invalid memory access",
        libc::SIGTERM => "SIGTERM",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_of_this_version_stays_readable() {
        let written = r#"{"version":1,"trial":"00112233445566aa","attempt":2,"status":"failed","cause":{"kind":"cell","cell":3,"line":2,"name":"ParseIntError","value":"invalid digit found in string"},"ended":"2026-01-01T00:00:00Z","seconds":1.5,"peak_memory":1024,"frames":["result"]}"#;
        let result: AttemptResult = serde_json::from_str(written).unwrap();
        assert_eq!(serde_json::to_string(&result).unwrap(), written);
        assert_eq!(
            result.cause.unwrap().to_string(),
            "cell 3, line 2: ParseIntError: invalid digit found in string"
        );
    }

    #[test]
    fn a_program_that_ends_itself_in_a_cell_did_not_succeed() {
        let ending = |code, signal| ExitStatus {
            exit_code: code,
            signal,
            seconds: 0.0,
            peak_memory: 0,
        };
        assert_eq!(failure_of_exit_status(&ending(Some(0), None), None), None);
        let left = failure_of_exit_status(&ending(Some(0), None), Some(4)).unwrap();
        assert_eq!(
            left.to_string(),
            "cell 4: the program ended itself with exit code 0"
        );
        let killed = failure_of_exit_status(&ending(None, Some(9)), Some(2)).unwrap();
        assert!(
            killed
                .to_string()
                .starts_with("cell 2: the program was ended by signal 9")
        );
    }
}
