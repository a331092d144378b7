//! Why an attempt failed, and how many retries that earns.

use offmodel_events::CellError;
use offmodel_events::batch::{ExitStatus, exit_code};
use serde::{Deserialize, Serialize};

use crate::sweep::Retry;

/// Why an attempt did not succeed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FailureReason {
    /// A cell raised an error.
    Cell {
        /// The cell's number.
        cell: usize,
        /// The line in it, where known.
        line: Option<usize>,
        /// The error's type.
        name: String,
        /// The error's message.
        value: String,
    },
    /// A signal ended the program.
    Signal {
        /// The signal's number.
        signal: i32,
        /// The cell that ran, if one did.
        cell: Option<usize>,
    },
    /// The program ended itself.
    Exit {
        /// The exit code.
        code: i32,
        /// The cell that ran, if one did.
        cell: Option<usize>,
    },
    /// The attempt took longer than `timeout` in the sweep file.
    Timeout {
        /// The limit in seconds.
        limit: f64,
    },
    /// The attempt held more memory than `memory` in the sweep file.
    Memory {
        /// The limit in bytes.
        limit: u64,
        /// Resident memory when the attempt was ended, in bytes.
        held: u64,
    },
    /// The cluster ended the job before the attempt published a result.
    Cluster {
        /// Slurm's job state: `CANCELLED`, `TIMEOUT`, `NODE_FAIL`, ...; `GONE` if Slurm has
        /// forgotten the job.
        state: String,
        /// The job, as `squeue` names it.
        job: String,
        /// Further detail; may be empty.
        detail: String,
    },
    /// A user cancelled the trial.
    Cancelled,
    /// The program could not be started.
    NotStarted {
        /// The error of the system.
        reason: String,
    },
}

impl FailureReason {
    /// How many retries the sweep file grants for this reason.
    pub fn retries(&self, retry: &Retry) -> usize {
        match self {
            Self::Cell { .. } => retry.failure,
            Self::Timeout { .. } => retry.timeout,
            Self::Memory { .. } => retry.memory,
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

/// The reason for an error that a cell raised.
pub fn failure_of_cell_error(cell: usize, error: &CellError) -> FailureReason {
    FailureReason::Cell {
        cell,
        line: error.line,
        name: error.name.clone(),
        value: error.value.clone(),
    }
}

/// The reason for a process that ended with `status` while `cell` ran; none if it ended well.
///
/// Exit code 0 is a failure while a cell runs: the cell called `exit`, so later cells did not run.
pub fn failure_of_exit_status(status: &ExitStatus, cell: Option<usize>) -> Option<FailureReason> {
    match (status.signal, status.exit_code) {
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
    fn a_program_that_ends_itself_in_a_cell_did_not_succeed() {
        let status = |code, signal| ExitStatus {
            exit_code: code,
            signal,
            seconds: 0.0,
            peak_memory: 0,
        };
        assert_eq!(failure_of_exit_status(&status(Some(0), None), None), None);
        let exited = failure_of_exit_status(&status(Some(0), None), Some(4)).unwrap();
        assert_eq!(
            exited.to_string(),
            "cell 4: the program ended itself with exit code 0"
        );
        let killed = failure_of_exit_status(&status(None, Some(9)), Some(2)).unwrap();
        assert!(
            killed
                .to_string()
                .starts_with("cell 2: the program was ended by signal 9")
        );
    }
}
