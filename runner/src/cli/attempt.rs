use super::AttemptArguments;
use crate::error::RunnerError;
use crate::executor::slurm::node;
use crate::exit_code::ExitCode;

/// Makes one attempt on a node of a cluster.
pub(super) fn attempt(arguments: &AttemptArguments) -> Result<ExitCode, RunnerError> {
    node::run(&arguments.record)
}
