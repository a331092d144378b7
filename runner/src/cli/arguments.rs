//! The arguments of `offmodel`, except those of `offmodel schedule`.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use super::grade::{GradedBenchmark, GradingRule};
use super::{
    ScheduleCommand, attempt, build, cancel, clean, compare, grade, kernel, logs, report, retry,
    run as run_command, schedule, status, sweep,
};
use crate::error::RunnerError;
use crate::executor::slurm::WhenStopped;
use crate::exit_code::{ExitCode, HELP};

/// Runs Rust notebooks as native programs: once, or as sweeps over parameters.
#[derive(Debug, Parser)]
#[command(name = "offmodel", version, after_help = HELP)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Execute a notebook once.
    Run(RunArguments),
    /// Build a folder that runs a notebook on a machine without Rust.
    Build(BuildArguments),
    /// Execute a notebook for every combination of parameters in a sweep file.
    Sweep(SweepArguments),
    /// Run sweeps on a schedule.
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Show the status of a sweep and of its jobs in Slurm.
    Status(StatusArguments),
    /// Print the output of a sweep's trials.
    Logs(LogsArguments),
    /// Show what changed from one sweep to another.
    Compare(CompareArguments),
    /// Grade stored responses without a model: JSON lines in, one verdict for each line out.
    Grade(GradeArguments),
    /// Run trials of a sweep again: those that failed, or those that are named.
    Retry(RetryArguments),
    /// Stop the runner of a sweep, and end its jobs in Slurm; finished trials keep their results.
    /// If trials are named or selected by parameters, cancel only these: each is asked to stop,
    /// killed after 5 s, and recorded as cancelled; only `offmodel retry` runs it again.
    Cancel(CancelArguments),
    /// Remove what a sweep no longer needs; without --yes, only list it.
    Clean(CleanArguments),
    /// Write a sweep's results and notebooks into one HTML page.
    Report(ReportArguments),
    /// Install, remove or examine the Jupyter kernel.
    #[command(subcommand)]
    Kernel(KernelCommand),
    /// Make one attempt, within a task of a Slurm job array.
    #[command(hide = true)]
    Attempt(AttemptArguments),
}

/// Commands of `offmodel kernel`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum KernelCommand {
    /// Install the kernel for Jupyter.
    Install,
    /// Remove the kernel from Jupyter.
    Uninstall,
    /// Check everything that the kernel needs, and time a cell.
    Doctor,
}

/// Arguments of `offmodel run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The notebook.
    pub notebook: PathBuf,
    /// A value for a parameter, as name=value; may be given several times.
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Where to write the executed notebook. Frames that the notebook records are written
    /// beside it, as OUT-NAME.parquet.
    #[arg(short, long, value_name = "OUT.ipynb")]
    pub output: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `offmodel build`.
#[derive(Debug, Args)]
pub struct BuildArguments {
    /// The notebook.
    pub notebook: PathBuf,
    /// The folder to build; `run` in it takes parameters as `offmodel run` does.
    #[arg(short, long, value_name = "FOLDER")]
    pub output: PathBuf,
    /// A file or folder that the notebook reads, to be copied along; must lie in the notebook's
    /// folder. May be given several times.
    #[arg(long, value_name = "PATH")]
    pub with: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `offmodel sweep`.
#[derive(Debug, Args)]
pub struct SweepArguments {
    /// The sweep file (TOML).
    pub spec: PathBuf,
    /// The folder that holds the folders of sweeps.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub runs: PathBuf,
    /// The date that replaces `{date}` in the sweep's name [default: today].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<chrono::NaiveDate>,
    /// Run trials again that succeeded with another prelude, compiler or libtorch than the current
    /// one.
    #[arg(long)]
    pub rerun_changed: bool,
    /// Show which trials would run, and why, without running any.
    #[arg(long)]
    pub dry_run: bool,
    /// Where trials run, and how the result is printed.
    #[command(flatten)]
    pub shared: SharedArguments,
}

/// Arguments of commands that run trials.
#[derive(Debug, Args)]
pub struct SharedArguments {
    /// How many trials run at once; they share the machine's cores.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub workers: u16,
    /// The GPUs to divide among trials that need some, as in CUDA_VISIBLE_DEVICES [default: all].
    #[arg(long, value_name = "LIST")]
    pub gpus: Option<String>,
    /// Run trials on a Slurm cluster, as [slurm] and [resources] in the sweep file say.
    #[arg(long, conflicts_with_all = ["workers", "gpus"])]
    pub slurm: bool,
    /// With --slurm: what happens to jobs when this command is stopped (Ctrl-C, SIGTERM).
    #[arg(
        long,
        requires = "slurm",
        value_enum,
        default_value_t,
        value_name = "WHAT"
    )]
    pub when_stopped: WhenStopped,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl SharedArguments {
    /// What happens to jobs when the runner is stopped; none if trials run on this machine.
    pub(super) fn slurm(&self) -> Option<WhenStopped> {
        self.slurm.then_some(self.when_stopped)
    }
}

/// Arguments of `offmodel retry`.
#[derive(Debug, Args)]
pub struct RetryArguments {
    /// The sweep's folder, such as runs/NAME.
    pub folder: PathBuf,
    /// The ids of trials, or their first characters; without any, those that failed.
    pub trials: Vec<String>,
    /// Only trials in which this parameter has this value, as name=value; may be given several
    /// times.
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Show which trials would run, and why, without running any.
    #[arg(long)]
    pub dry_run: bool,
    /// Where trials run, and how the result is printed.
    #[command(flatten)]
    pub shared: SharedArguments,
}

/// Arguments of `offmodel cancel`.
#[derive(Debug, Args)]
pub struct CancelArguments {
    /// The sweep's folder, such as runs/NAME.
    pub folder: PathBuf,
    /// The ids of the trials to cancel, or their first characters; the others continue. Without
    /// any, the whole sweep is stopped.
    pub trials: Vec<String>,
    /// Cancel trials in which this parameter has this value, as name=value; may be given several
    /// times.
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Kill trials immediately, without time to stop.
    #[arg(long, conflicts_with_all = ["trials", "parameters"])]
    pub now: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `offmodel attempt`.
#[derive(Debug, Args)]
pub struct AttemptArguments {
    /// The record of the job array.
    pub record: PathBuf,
}

/// Arguments of `offmodel clean`.
#[derive(Debug, Args)]
pub struct CleanArguments {
    /// The sweep's folder, such as runs/NAME.
    pub folder: PathBuf,
    /// Remove the listed files and folders.
    #[arg(long)]
    pub yes: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `offmodel status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// The sweep's folder, such as runs/NAME.
    pub folder: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `offmodel logs`.
#[derive(Debug, Args)]
pub struct LogsArguments {
    /// The sweep's folder, such as runs/NAME.
    pub folder: PathBuf,
    /// The id of the trial, or its first characters; without it, all trials.
    pub trial: Option<String>,
    /// Continue with what running trials write, until no runner is at work and Slurm has no job of
    /// the sweep.
    #[arg(short, long)]
    pub follow: bool,
    /// Print JSON, one event a line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `offmodel compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// The folder of the first sweep, A.
    pub a: PathBuf,
    /// The folder of the second sweep, B; changes are B - A.
    pub b: PathBuf,
    /// The column that distinguishes the items of a benchmark, which are then resampled [default:
    /// item].
    #[arg(long, value_name = "COLUMN")]
    pub item: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `offmodel grade`.
#[derive(Debug, Args)]
pub struct GradeArguments {
    /// The JSON lines; `-` reads standard input. A line of IFEval has `response`, and either
    /// `instruction_id_list` and `kwargs` or the `key` of a published item.
    pub file: PathBuf,
    /// The benchmark that the responses belong to.
    #[arg(long)]
    pub benchmark: GradedBenchmark,
    /// The rule of the grader.
    #[arg(long, default_value = "reference")]
    pub rule: GradingRule,
    /// Print one JSON document for each line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `offmodel report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// The sweep's folder, such as runs/NAME.
    pub folder: PathBuf,
    /// An executed notebook to include; may be given several times.
    #[arg(long, value_name = "OUT.ipynb")]
    pub also: Vec<PathBuf>,
    /// The folder of an earlier sweep to compare this one with.
    #[arg(long, value_name = "FOLDER")]
    pub compare: Option<PathBuf>,
    /// The page to write.
    #[arg(short, long, default_value = "report.html", value_name = "REPORT.html")]
    pub output: PathBuf,
    /// Print JSON instead of the result table.
    #[arg(long)]
    pub json: bool,
}

/// Runs a command, and returns its exit code.
///
/// # Errors
/// [`RunnerError`], which has an exit code too.
pub fn run(arguments: Arguments) -> Result<ExitCode, RunnerError> {
    match arguments.command {
        Command::Run(arguments) => run_command::run(&arguments),
        Command::Build(arguments) => build::build(&arguments),
        Command::Sweep(arguments) => sweep::sweep(&arguments),
        Command::Schedule(command) => schedule::schedule(&command),
        Command::Status(arguments) => status::status(&arguments),
        Command::Logs(arguments) => logs::logs(&arguments),
        Command::Compare(arguments) => compare::compare_sweeps(&arguments),
        Command::Grade(arguments) => grade::grade_file(&arguments),
        Command::Retry(arguments) => retry::retry(&arguments),
        Command::Cancel(arguments) => cancel::cancel(&arguments),
        Command::Clean(arguments) => clean::clean(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Attempt(arguments) => attempt::attempt(&arguments),
        Command::Kernel(command) => Err(kernel::become_kernel(command)),
    }
}

/// Checks additional arguments of `offmodel sweep`, before a schedule stores them.
pub(super) fn check_sweep_arguments(spec: &Path, additional: &[String]) -> Result<(), RunnerError> {
    let start = ["offmodel".into(), "sweep".into(), spec.to_owned()];
    let all = start
        .into_iter()
        .chain(additional.iter().map(PathBuf::from));
    match Arguments::try_parse_from(all) {
        Ok(_) => Ok(()),
        Err(error) => Err(RunnerError::SweepArguments {
            reason: error.to_string(),
        }),
    }
}
