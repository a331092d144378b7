//! The exit codes of `offmodel`.

/// The exit codes; [`HELP`] lists them for `offmodel --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The command did what it was asked to do.
    Success = 0,
    /// A cell failed; in a sweep, at least one trial failed.
    CellFailed = 1,
    /// The command line is wrong; clap itself exits with this code.
    Usage = 2,
    /// A notebook, sweep file, parameter or run folder is missing or wrong.
    BadInput = 3,
    /// A cell does not compile.
    CompileFailed = 4,
    /// An output file or folder cannot be written.
    Unwritable = 5,
    /// The program was ended by a signal, ended itself, or could not be started.
    ProgramDied = 6,
    /// The compiler, the prelude or libtorch is missing.
    Toolchain = 7,
    /// Another runner is at work on the sweep, or the runner to stop is on another machine.
    Busy = 8,
    /// Slurm is not installed, does not answer, or refuses the jobs.
    Cluster = 9,
    /// The command was stopped by Ctrl-C or SIGTERM; the same command goes on from there.
    Interrupted = 130,
}

/// The list of exit codes at the end of `offmodel --help`.
pub const HELP: &str = "\
Exit codes:
  0    done
  1    a cell failed, or at least one trial of a sweep
  2    wrong command line
  3    bad input: notebook, sweep file, parameter or run folder
  4    a cell does not compile
  5    an output cannot be written
  6    the program was ended by a signal, or could not be started
  7    compiler, prelude or libtorch missing
  8    another runner is at work on the sweep
  9    Slurm is not there, does not answer, or refuses the jobs
  130  stopped by Ctrl-C or SIGTERM; the same command goes on from there";

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
