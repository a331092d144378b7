use tokio::task::spawn_blocking;

use crate::error::RunnerError;

/// Runs blocking work, such as a synced write, on a thread of its own. `task` names the work in the
/// error that reports a panic.
pub(super) async fn blocking<T: Send + 'static>(
    task: &'static str,
    work: impl FnOnce() -> Result<T, RunnerError> + Send + 'static,
) -> Result<T, RunnerError> {
    spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(RunnerError::TaskPanicked {
            task,
            message: error.to_string(),
        })
    })
}
