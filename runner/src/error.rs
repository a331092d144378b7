//! The errors of all commands, with the exit codes that they lead to.

use std::path::PathBuf;

use offmodel_program::{BuildError, CompileError, NotebookError};
use offmodel_toolchain::ToolchainError;

use crate::assignment::AssignmentError;
use crate::executor::ExecutorError;
use crate::executor::slurm::SlurmError;
use crate::exit_code::ExitCode;
use crate::schedule::ScheduleError;
use crate::store::RunnerRecord;
use crate::sweep::SpecError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The notebook cannot be read or run.
    #[error(transparent)]
    Notebook(#[from] NotebookError),
    /// The sweep file is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A parameter does not exist or has another type.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// The notebook does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// No folder for compiled programs is known.
    #[error("failed to find a cache folder: set OFFMODEL_CACHE or HOME")]
    NoCache,
    /// A part of the toolchain is missing.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// A file or folder cannot be written.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("failed to read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// `offmodel-kernel`, which is built beside `offmodel`, does not start.
    #[error("failed to start {}: {source}; build it with `cargo build --workspace`", path.display())]
    Kernel {
        /// The program.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The folder does not hold a sweep.
    #[error("{} is not a sweep's folder: it has no sweep.toml", path.display())]
    NotASweep {
        /// The folder.
        path: PathBuf,
    },
    /// The sweep has no such trial.
    #[error("{} has no trial `{trial}`; `offmodel status --json` lists them", folder.display())]
    NoTrial {
        /// The sweep's folder.
        folder: PathBuf,
        /// The name of the trial.
        trial: String,
    },
    /// Another runner has locked the sweep.
    #[error(
        "another runner is at work on {}{}; wait for it, stop it with `offmodel cancel`, or use another --runs folder",
        folder.display(),
        holder.as_ref().map_or_else(String::new, |holder| format!(" ({holder})"))
    )]
    Busy {
        /// The sweep's folder.
        folder: PathBuf,
        /// The other runner, if it is known.
        holder: Option<Box<RunnerRecord>>,
    },
    /// The runner to stop is on another machine or in another container.
    #[error("the runner of {} is {holder}, out of reach from here: run `offmodel cancel` there", folder.display())]
    Elsewhere {
        /// The sweep's folder.
        folder: PathBuf,
        /// That runner.
        holder: Box<RunnerRecord>,
    },
    /// The sweep was submitted by a version that did not record where the notebook lies.
    #[error("{} was submitted by an earlier version of offmodel: run `offmodel sweep` with its file once", folder.display())]
    NoSubmission {
        /// The sweep's folder.
        folder: PathBuf,
    },
    /// Trials cannot be run again as they were submitted, because their data changed.
    #[error("{data} changed since the sweep was submitted: run `offmodel sweep {}`, which gives its trials new names", sweep_file.display())]
    DataChanged {
        /// The paths of the changed data, as cells use them.
        data: String,
        /// The sweep file.
        sweep_file: PathBuf,
    },
    /// The runner was asked to stop and did not.
    #[error("the runner of {} ({holder}) did not stop within {seconds} s", folder.display())]
    NotStopped {
        /// The sweep's folder.
        folder: PathBuf,
        /// That runner.
        holder: Box<RunnerRecord>,
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// Cancelled trials did not end in time.
    #[error("{left} trials of {} are still to be cancelled after {seconds} s; their runner does it as soon as it can", folder.display())]
    NotCancelled {
        /// The sweep's folder.
        folder: PathBuf,
        /// How many trials are left.
        left: usize,
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// There are fewer GPUs than a trial needs.
    #[error(
        "a trial needs {wanted} GPUs, this machine has {}; choose with --gpus, or change `gpus` in [resources]",
        listed(found)
    )]
    Gpus {
        /// How many a trial needs.
        wanted: usize,
        /// The GPUs that were found, or given with `--gpus`.
        found: Vec<String>,
    },
    /// The system does not give the runner its threads or timers.
    #[error("failed to start the runner's threads: {source}")]
    Runtime {
        /// The error of the system.
        source: std::io::Error,
    },
    /// The system does not let the runner handle signals.
    #[error("failed to handle signals (Ctrl-C, SIGTERM): {source}")]
    Signals {
        /// The error of the system.
        source: std::io::Error,
    },
    /// A bug in the runner.
    #[error("failed to {task}: {message}; this is a bug in offmodel")]
    TaskPanicked {
        /// The task, as an infinitive.
        task: &'static str,
        /// The message of the panic.
        message: String,
    },
    /// `offmodel build` failed.
    #[error(transparent)]
    Build(BuildError),
    /// A schedule is wrong, or cannot be read or written.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A schedule has arguments that `offmodel sweep` does not take.
    #[error("`offmodel sweep` does not take these arguments: {reason}")]
    SweepArguments {
        /// The message of the argument parser.
        reason: String,
    },
    /// Attempts cannot be executed.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// Slurm cannot be reached, refuses a request, or has jobs that are in the way.
    #[error(transparent)]
    Slurm(#[from] SlurmError),
}

impl RunnerError {
    /// The exit code for this kind of error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Notebook(_)
            | Self::Spec(_)
            | Self::Assignment(_)
            | Self::Read { .. }
            | Self::NoTrial { .. }
            | Self::NoSubmission { .. }
            | Self::DataChanged { .. }
            | Self::Gpus { .. }
            | Self::NotASweep { .. } => ExitCode::BadInput,
            Self::Schedule(ScheduleError::NoFolder | ScheduleError::Write { .. }) => {
                ExitCode::Unwritable
            }
            Self::Build(BuildError::Occupied { .. } | BuildError::Outside { .. }) => {
                ExitCode::BadInput
            }
            Self::Build(BuildError::Read { .. }) => ExitCode::Toolchain,
            Self::Build(_) => ExitCode::Unwritable,
            Self::Schedule(_) | Self::SweepArguments { .. } => ExitCode::BadInput,
            Self::Compile(
                CompileError::Cells { .. }
                | CompileError::Generate(_)
                | CompileError::ExtraCrates { .. },
            ) => ExitCode::CompileFailed,
            Self::Compile(CompileError::Cache { .. })
            | Self::NoCache
            | Self::Write { .. }
            | Self::Runtime { .. }
            | Self::Signals { .. }
            | Self::TaskPanicked { .. } => ExitCode::Unwritable,
            Self::Compile(_) | Self::Toolchain(_) | Self::Kernel { .. } => ExitCode::Toolchain,
            Self::Busy { .. }
            | Self::Elsewhere { .. }
            | Self::NotStopped { .. }
            | Self::NotCancelled { .. } => ExitCode::Busy,
            Self::Executor(_) => ExitCode::ProgramDied,
            Self::Slurm(error) => error.exit_code(),
        }
    }
}

impl From<BuildError> for RunnerError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Compile(error) => Self::Compile(error),
            error => Self::Build(error),
        }
    }
}

fn listed(found: &[String]) -> String {
    match found {
        [] => "none".to_owned(),
        found => format!("{} ({})", found.len(), found.join(", ")),
    }
}
