//! The tokio runtimes on which commands block.

use tokio::runtime::{Builder, Runtime};

use crate::error::RunnerError;

/// A runtime for the engine and for questions to Slurm: one thread for tasks, and a few for blocking
/// calls such as file locks.
pub(crate) fn multi_thread() -> Result<Runtime, RunnerError> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(4)
        .enable_all()
        .build()
        .map_err(|source| RunnerError::Runtime { source })
}

/// A runtime for a single child process, without further threads.
pub(crate) fn current_thread() -> Result<Runtime, RunnerError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| RunnerError::Runtime { source })
}
