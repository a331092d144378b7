//! The commands of Slurm that offmodel runs, with their arguments and errors.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::invoke;
use super::parse::{self, ArrayId, TaskId, TaskStatus};
use super::script::job_limit;
use crate::exit_code::ExitCode;
use crate::sweep::Policy;

/// Slurm's default for `MaxArraySize`, used if `scontrol` does not print the setting.
const DEFAULT_MAX_ARRAY_SIZE: usize = 1001;

/// The most tasks in one call of `scancel`: its command line has limited room.
const MAX_TASKS_PER_CALL: usize = 1000;

/// Environment variables that `sbatch` reads as options and prefers to those of the batch script.
const OPTION_VARIABLES: [&str; 12] = [
    "SBATCH_ARRAY_INX",
    "SBATCH_CLUSTERS",
    "SBATCH_DEPENDENCY",
    "SBATCH_ERROR",
    "SBATCH_INPUT",
    "SBATCH_JOB_NAME",
    "SBATCH_NO_REQUEUE",
    "SBATCH_OPEN_MODE",
    "SBATCH_OUTPUT",
    "SBATCH_REQUEUE",
    "SBATCH_SIGNAL",
    "SBATCH_WAIT",
];

/// Why Slurm did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SlurmError {
    /// A command of Slurm does not start.
    #[error(
        "failed to start `{command}`: {reason}; is Slurm installed here, with its commands on the PATH?"
    )]
    Missing {
        /// The command.
        command: &'static str,
        /// The error of the system.
        reason: String,
    },
    /// The controller does not answer.
    #[error("Slurm cannot be reached: `{command}` says: {message}")]
    Unreachable {
        /// The command.
        command: &'static str,
        /// Its standard error.
        message: String,
    },
    /// The number of jobs has reached a limit; there is room again once others end.
    #[error("Slurm takes no more jobs now: `{command}` says: {message}")]
    Full {
        /// The command.
        command: &'static str,
        /// Its standard error.
        message: String,
    },
    /// Slurm refuses a request, and will refuse it again.
    #[error("Slurm refuses: `{command}` says: {message}")]
    Refused {
        /// The command.
        command: &'static str,
        /// Its standard error.
        message: String,
    },
    /// The output of a command has an unknown form, so that the job may or may not exist.
    #[error("failed to understand what `{command}` printed: {output}")]
    NotUnderstood {
        /// The command.
        command: &'static str,
        /// Its standard output.
        output: String,
    },
    /// The record of a job array is missing, damaged, or of another version.
    #[error("{} is no record of a job array that this version of offmodel can read: {reason}", path.display())]
    Record {
        /// The record's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// `offmodel attempt` was started by hand, outside a job array.
    #[error("`offmodel attempt` runs inside a Slurm job array: {variable} is missing or no number")]
    NoTask {
        /// The environment variable that Slurm sets.
        variable: &'static str,
    },
    /// Jobs were cancelled and do not end.
    #[error("{left} jobs were cancelled and have not ended yet; look with `squeue`")]
    Remaining {
        /// How many.
        left: usize,
    },
    /// The sweep is to run on this machine, but has jobs in Slurm.
    #[error(
        "jobs of {} are in Slurm ({jobs}): go on with `--slurm`, or end them first with `offmodel cancel {}`",
        folder.display(),
        folder.display()
    )]
    StillThere {
        /// The sweep's folder.
        folder: PathBuf,
        /// The numbers of the jobs.
        jobs: String,
    },
}

impl SlurmError {
    /// The exit code of `offmodel` for this kind of error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Record { .. } | Self::NoTask { .. } => ExitCode::BadInput,
            Self::StillThere { .. } => ExitCode::Busy,
            _ => ExitCode::Cluster,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Full { .. } | Self::NotUnderstood { .. }
        )
    }
}

/// Checks that Slurm is installed and answers.
///
/// # Errors
/// When it is not or does not.
pub async fn check_reachable() -> Result<(), SlurmError> {
    max_array_size().await.map(drop)
}

/// The most tasks that a job array may have.
///
/// # Errors
/// When Slurm is not installed or does not answer.
pub(super) async fn max_array_size() -> Result<usize, SlurmError> {
    let output = invoke::output_of("scontrol", &["show", "config"]).await?;
    Ok(parse::setting(&output, "MaxArraySize")
        .filter(|size| *size > 1)
        .unwrap_or(DEFAULT_MAX_ARRAY_SIZE))
}

/// Submits the job array of a batch script; `dependency` is a further option.
///
/// # Errors
/// When Slurm refuses, or it is unknown whether Slurm accepted the job.
pub(super) async fn submit(
    script: &Path,
    dependency: Option<&str>,
    policy: &Policy,
) -> Result<ArrayId, SlurmError> {
    let mut command = Command::new("sbatch");
    command.arg("--parsable").args(dependency).arg(script);
    for variable in OPTION_VARIABLES {
        command.env_remove(variable);
    }
    // What the sweep file sets outranks the user's defaults for all jobs.
    for (variable, is_set) in [
        ("SBATCH_PARTITION", policy.slurm.partition.is_some()),
        ("SBATCH_ACCOUNT", policy.slurm.account.is_some()),
        ("SBATCH_QOS", policy.slurm.qos.is_some()),
        ("SBATCH_TIMELIMIT", job_limit(policy).is_some()),
        ("SBATCH_CPUS_PER_TASK", policy.resources.cores.is_some()),
        ("SBATCH_MEM_PER_NODE", policy.resources.memory.is_some()),
        ("SBATCH_GRES", policy.resources.gpus.is_some()),
    ] {
        if is_set {
            command.env_remove(variable);
        }
    }
    let output = invoke::run_until("sbatch", command, &invoke::NO_ROOM).await?;
    parse::submitted(&output).ok_or(SlurmError::NotUnderstood {
        command: "sbatch",
        output,
    })
}

/// The states of all tasks of some arrays, without those that Slurm has forgotten.
///
/// # Errors
/// When Slurm does not answer.
pub(super) async fn queue(arrays: &[ArrayId]) -> Result<Vec<TaskStatus>, SlurmError> {
    filtered_queue(&["-j", &joined(arrays)]).await
}

/// The states of all tasks of the array with this name.
///
/// # Errors
/// When Slurm does not answer.
pub(super) async fn queue_by_name(name: &str) -> Result<Vec<TaskStatus>, SlurmError> {
    filtered_queue(&["--name", name]).await
}

async fn filtered_queue(filter: &[&str]) -> Result<Vec<TaskStatus>, SlurmError> {
    let mut arguments = vec!["-r", "-h", "-t", "all", "-o", parse::QUEUE_FORMAT];
    arguments.extend(filter);
    match invoke::output_of("squeue", &arguments).await {
        Ok(output) => Ok(parse::queue(&output)),
        // The job ended longer ago than `MinJobAge`, five minutes by default.
        Err(SlurmError::Refused { message, .. }) if message.contains("Invalid job id") => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// The states of the tasks of some arrays in the accounting database; empty on clusters without one.
pub(super) async fn accounting(arrays: &[ArrayId]) -> Vec<TaskStatus> {
    let arrays = joined(arrays);
    let arguments = ["-X", "-P", "-n", "-o", "JobID,State,Reason", "-j", &arrays];
    match invoke::output_of("sacct", &arguments).await {
        Ok(output) => parse::accounting(&output),
        Err(_) => Vec::new(),
    }
}

/// Ends all tasks of some arrays. Arrays that are gone already are no error.
///
/// # Errors
/// When Slurm does not answer.
pub(super) async fn cancel(arrays: &[ArrayId]) -> Result<(), SlurmError> {
    scancel(&[], arrays).await
}

/// Ends the tasks of some arrays that do not run yet. Arrays that are gone already are no error.
///
/// # Errors
/// When Slurm does not answer.
pub(super) async fn cancel_pending(arrays: &[ArrayId]) -> Result<(), SlurmError> {
    scancel(&["--state=PENDING"], arrays).await
}

/// Ends tasks, whether they run or not. Tasks that are gone already are no error.
///
/// # Errors
/// When Slurm does not answer.
pub(super) async fn cancel_tasks(tasks: &[TaskId]) -> Result<(), SlurmError> {
    for chunk in tasks.chunks(MAX_TASKS_PER_CALL) {
        scancel(&[], chunk).await?;
    }
    Ok(())
}

async fn scancel(options: &[&str], jobs: &[impl ToString]) -> Result<(), SlurmError> {
    if jobs.is_empty() {
        return Ok(());
    }
    let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let arguments: Vec<&str> = options
        .iter()
        .copied()
        .chain(jobs.iter().map(String::as_str))
        .collect();
    match invoke::output_of("scancel", &arguments).await {
        Err(error @ (SlurmError::Missing { .. } | SlurmError::Unreachable { .. })) => Err(error),
        _ => Ok(()),
    }
}

fn joined(arrays: &[ArrayId]) -> String {
    let arrays: Vec<String> = arrays.iter().map(ToString::to_string).collect();
    arrays.join(",")
}
