use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use super::{
    ScheduleCommand, build, compare, kernel, logs, report, run as run_command, schedule, status,
    sweep,
};
use crate::error::RunnerError;
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
    /// Run sweeps at appointed times.
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Tell where a sweep stands.
    Status(StatusArguments),
    /// Print what a sweep's trials wrote.
    Logs(LogsArguments),
    /// Tell what changed from one sweep to another.
    Compare(CompareArguments),
    /// Write a sweep's results and notebooks into one HTML page.
    Report(ReportArguments),
    /// Install, remove or examine the Jupyter kernel.
    #[command(subcommand)]
    Kernel(KernelCommand),
}

/// Commands of `offmodel kernel`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum KernelCommand {
    /// Make the kernel known to Jupyter.
    Install,
    /// Let Jupyter forget it.
    Uninstall,
    /// Look at everything that the kernel needs, and time a cell.
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
}

/// Arguments of `offmodel build`.
#[derive(Debug, Args)]
pub struct BuildArguments {
    /// The notebook.
    pub notebook: PathBuf,
    /// The folder to build; `run` in it takes parameters as `offmodel run` does.
    #[arg(short, long, value_name = "FOLDER")]
    pub output: PathBuf,
    /// A file or folder of the notebook's folder that it reads, to be copied along; may be given
    /// several times.
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
    /// How many trials run at once; they share the machine's cores.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub workers: u16,
    /// The day that `{date}` in the sweep's name means [default: today].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<chrono::NaiveDate>,
    /// Tell which trials would run, and why, without running any.
    #[arg(long)]
    pub dry_run: bool,
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
    /// The trial, or how its name begins; without it, all.
    pub trial: Option<String>,
}

/// Arguments of `offmodel compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// The folder of the first sweep, A.
    pub a: PathBuf,
    /// The folder of the second sweep, B; changes are B - A.
    pub b: PathBuf,
    /// The column that tells items of a benchmark apart, which are then resampled [default: item].
    #[arg(long, value_name = "COLUMN")]
    pub item: Option<String>,
    /// Print JSON.
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
}

/// Runs a command.
///
/// # Errors
/// What keeps it from being done, with its exit code.
pub fn run(arguments: Arguments) -> Result<ExitCode, RunnerError> {
    match arguments.command {
        Command::Run(arguments) => run_command::run(&arguments),
        Command::Build(arguments) => build::build(&arguments),
        Command::Sweep(arguments) => sweep::sweep(&arguments),
        Command::Schedule(command) => schedule::schedule(&command),
        Command::Status(arguments) => status::status(&arguments),
        Command::Logs(arguments) => logs::logs(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Kernel(command) => Err(kernel::become_kernel(command)),
    }
}

/// Whether `offmodel sweep` would take these further arguments.
///
/// # Errors
/// When it would not.
pub(super) fn check_sweep_arguments(spec: &Path, further: &[String]) -> Result<(), RunnerError> {
    let start = ["offmodel".into(), "sweep".into(), spec.to_owned()];
    let all = start.into_iter().chain(further.iter().map(PathBuf::from));
    match Arguments::try_parse_from(all) {
        Ok(_) => Ok(()),
        Err(error) => Err(RunnerError::SweepArguments {
            reason: error.to_string(),
        }),
    }
}
