//! What Slurm is asked for and told to do.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::answers::{self, Answer, ArrayId, TaskId};
use super::call;
use super::script::job_limit;
use crate::exit_code::ExitCode;
use crate::sweep::Policy;

/// Array size where `scontrol` does not tell it: Slurm's default.
const DEFAULT_ARRAY_SIZE: u64 = 1001;

/// Variables that `sbatch` reads as options and prefers to those of the script.
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
    /// The command cannot be started.
    #[error(
        "failed to start `{command}`: {reason}; is Slurm installed here, with its commands on the PATH?"
    )]
    Missing {
        /// The command.
        command: &'static str,
        /// What the system said.
        reason: String,
    },
    /// Nobody answers.
    #[error("Slurm cannot be reached: `{command}` says: {message}")]
    Unreachable {
        /// The command.
        command: &'static str,
        /// What it wrote to its standard error.
        message: String,
    },
    /// A limit on jobs that is lifted as soon as others end.
    #[error("Slurm takes no more jobs now: `{command}` says: {message}")]
    Full {
        /// The command.
        command: &'static str,
        /// What it wrote to its standard error.
        message: String,
    },
    /// Slurm refuses.
    #[error("Slurm refuses: `{command}` says: {message}")]
    Refused {
        /// The command.
        command: &'static str,
        /// What it wrote to its standard error.
        message: String,
    },
    /// A job that may be ours may exist.
    #[error("failed to understand what `{command}` printed: {output}")]
    NotUnderstood {
        /// The command.
        command: &'static str,
        /// What it wrote to its standard output.
        output: String,
    },
    /// What the job was to run is not there.
    #[error("{} is no record of a job array that this version of offmodel can read: {reason}", path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Started by hand, outside a job array.
    #[error("`offmodel attempt` runs inside a Slurm job array: {variable} is missing or no number")]
    NoTask {
        /// The variable that Slurm sets.
        variable: &'static str,
    },
    /// Cancelled jobs that do not end.
    #[error("{left} jobs were cancelled and have not ended yet; look with `squeue`")]
    Remaining {
        /// How many.
        left: usize,
    },
    /// Jobs of the sweep are in Slurm, and it is to run here.
    #[error(
        "jobs of {} are in Slurm ({jobs}): go on with `--slurm`, or end them first with `offmodel cancel {}`",
        folder.display(),
        folder.display()
    )]
    StillThere {
        /// The sweep's folder.
        folder: PathBuf,
        /// Their numbers.
        jobs: String,
    },
}

impl SlurmError {
    /// The exit code that tells this kind of error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Record { .. } | Self::NoTask { .. } => ExitCode::BadInput,
            Self::StillThere { .. } => ExitCode::Busy,
            _ => ExitCode::Cluster,
        }
    }

    /// Whether asking again later may help.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Full { .. } | Self::NotUnderstood { .. }
        )
    }
}

/// Makes sure that Slurm is there and answers.
///
/// # Errors
/// When it is not or does not.
pub async fn reach() -> Result<(), SlurmError> {
    largest_array().await.map(drop)
}

/// The largest index of a job array, and one.
///
/// # Errors
/// When Slurm is not there or does not answer.
pub async fn largest_array() -> Result<u64, SlurmError> {
    let output = call::output_of("scontrol", &["show", "config"]).await?;
    Ok(answers::setting(&output, "MaxArraySize")
        .filter(|size| *size > 1)
        .unwrap_or(DEFAULT_ARRAY_SIZE))
}

/// Submits the job array of a batch script; `dependency` is a further option.
///
/// # Errors
/// When Slurm refuses, or nobody knows whether it took the job.
pub async fn submit(
    script: &Path,
    dependency: Option<&str>,
    policy: &Policy,
) -> Result<ArrayId, SlurmError> {
    let mut command = Command::new("sbatch");
    command.arg("--parsable").args(dependency).arg(script);
    for variable in OPTION_VARIABLES {
        command.env_remove(variable);
    }
    // The sweep file outranks the user's general wishes.
    for (variable, given) in [
        ("SBATCH_PARTITION", policy.slurm.partition.is_some()),
        ("SBATCH_ACCOUNT", policy.slurm.account.is_some()),
        ("SBATCH_QOS", policy.slurm.qos.is_some()),
        ("SBATCH_TIMELIMIT", job_limit(policy).is_some()),
        ("SBATCH_CPUS_PER_TASK", policy.resources.cores.is_some()),
        ("SBATCH_MEM_PER_NODE", policy.resources.memory.is_some()),
        ("SBATCH_GRES", policy.resources.gpus.is_some()),
    ] {
        if given {
            command.env_remove(variable);
        }
    }
    let output = call::run_until("sbatch", command, Some(call::WAITS_FOR_ROOM)).await?;
    answers::submitted(&output).ok_or(SlurmError::NotUnderstood {
        command: "sbatch",
        output,
    })
}

/// What Slurm says about all tasks of some arrays. Those that it has forgotten are missing.
///
/// # Errors
/// When nobody answers.
pub async fn queue(arrays: &[ArrayId]) -> Result<Vec<Answer>, SlurmError> {
    let arrays = listed(arrays);
    let filter = ["-j", &arrays];
    filtered_queue(&filter).await
}

/// As [`queue`], of the array with a name.
///
/// # Errors
/// When nobody answers.
pub async fn queue_by_name(name: &str) -> Result<Vec<Answer>, SlurmError> {
    filtered_queue(&["--name", name]).await
}

async fn filtered_queue(filter: &[&str]) -> Result<Vec<Answer>, SlurmError> {
    let mut arguments = vec!["-r", "-h", "-t", "all", "-o", answers::QUEUE_FORMAT];
    arguments.extend(filter);
    match call::output_of("squeue", &arguments).await {
        Ok(output) => Ok(answers::queue(&output)),
        // A job that ended some time ago (`MinJobAge`, five minutes by default).
        Err(SlurmError::Refused { message, .. }) if message.contains("Invalid job id") => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// What accounting says about the tasks of some arrays; nothing where there is no accounting.
pub async fn accounting(arrays: &[ArrayId]) -> Vec<Answer> {
    let arrays = listed(arrays);
    let arguments = ["-X", "-P", "-n", "-o", "JobID,State,Reason", "-j", &arrays];
    match call::output_of("sacct", &arguments).await {
        Ok(output) => answers::accounting(&output),
        Err(_) => Vec::new(),
    }
}

/// Ends arrays: all of their tasks, or only those that do not run yet. Arrays that are gone
/// already are no error.
///
/// # Errors
/// When nobody answers.
pub async fn cancel(arrays: &[ArrayId], only_waiting: bool) -> Result<(), SlurmError> {
    if arrays.is_empty() {
        return Ok(());
    }
    let mut arguments: Vec<String> = arrays.iter().map(ToString::to_string).collect();
    if only_waiting {
        arguments.insert(0, "--state=PENDING".to_owned());
    }
    scancel(&arguments).await
}

/// Ends tasks, those that run as well. Tasks that are gone already are no error.
///
/// # Errors
/// When nobody answers.
pub async fn cancel_tasks(tasks: &[TaskId]) -> Result<(), SlurmError> {
    /// A command line has room for so many.
    const AT_ONCE: usize = 1000;
    let tasks: Vec<String> = tasks.iter().map(ToString::to_string).collect();
    for some in tasks.chunks(AT_ONCE) {
        scancel(some).await?;
    }
    Ok(())
}

async fn scancel(arguments: &[String]) -> Result<(), SlurmError> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match call::output_of("scancel", &arguments).await {
        Err(error @ (SlurmError::Missing { .. } | SlurmError::Unreachable { .. })) => Err(error),
        _ => Ok(()),
    }
}

fn listed(arrays: &[ArrayId]) -> String {
    let arrays: Vec<String> = arrays.iter().map(ToString::to_string).collect();
    arrays.join(",")
}
