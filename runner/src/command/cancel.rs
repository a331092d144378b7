use super::CancelArguments;
use super::sweep::runtime;
use crate::error::RunnerError;
use crate::executor::slurm::cancel_jobs;
use crate::exit_code::ExitCode;
use crate::store::SweepFolder;
use crate::terminal::tell;

/// Ends a sweep's jobs in Slurm, and waits until they are gone.
pub(super) fn cancel(arguments: &CancelArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::view(&arguments.folder)?;
    let cancelled = runtime(folder.path())?.block_on(cancel_jobs(&folder))?;
    match cancelled {
        0 => tell!("{} has nothing in Slurm", folder.path().display()),
        count => tell!("{count} trials cancelled"),
    }
    Ok(ExitCode::Success)
}
