use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use offmodel_events::batch::ExitStatus;
use tokio::sync::{oneshot, watch};
use tracing::debug;

use super::executor::Shared;
use super::slots::Slot;
use super::{Allocation, ExecutorError};
use crate::error::RunnerError;
use crate::executor::process::{Limits, StopRequest, StopRequests, supervise};
use crate::executor::publish::{EndedAttempt, result_without_run};
use crate::executor::{
    AttemptOutcome, AttemptSpec, EventSender, ExecutorEvent, Shutdown, blocking,
};
use crate::store::{FailureReason, SpecRecord};

/// The life of one attempt: folder, slot, process, result.
pub(super) async fn run_attempt(
    shared: Arc<Shared>,
    index: usize,
    spec: AttemptSpec,
    events: EventSender,
) {
    let outcome = run(&shared, spec).await;
    // Without a receiver, the whole runner is ending.
    let _ = events.send(ExecutorEvent::Finished { index, outcome });
}

async fn run(shared: &Arc<Shared>, mut spec: AttemptSpec) -> Result<AttemptOutcome, RunnerError> {
    loop {
        let execution = match prepare(shared, &spec).await? {
            Prepared::Ready { folder, slot } => execute(shared, &spec, folder, slot).await,
            Prepared::Withdrawn => return Ok(AttemptOutcome::Interrupted),
            Prepared::Cancelled { folder } => {
                let result = result_without_run(&spec, FailureReason::Cancelled);
                result.publish(&folder)?;
                return Ok(AttemptOutcome::Published(Box::new(result)));
            }
        };
        let is_stopping = shared.is_stopping();
        if let (Err(ExecutorError::Died { .. }), false) = (&execution.exit, is_stopping) {
            // The attempt is not to blame: the fork server is gone, for example because the system
            // ran out of memory and killed the largest process.
            shared.sweep.server.restart().await?;
            spec.attempt += 1;
            continue;
        }
        let shared = Arc::clone(shared);
        return blocking("publish a result", move || {
            let ended = EndedAttempt {
                spec: &spec,
                allocation: &execution.allocation,
                folder: &execution.folder,
                exit: execution.exit,
                stop_reason: execution.stop_reason,
                is_stopping,
            };
            ended.publish(&shared.sweep.notebook, &shared.sweep.parameters)
        })
        .await;
    }
}

/// An attempt with its folder, before its process.
enum Prepared<'a> {
    Ready {
        folder: PathBuf,
        slot: Slot<'a>,
    },
    /// The sweep was stopped meanwhile.
    Withdrawn,
    /// The trial was cancelled meanwhile.
    Cancelled {
        folder: PathBuf,
    },
}

/// Creates the attempt's folder and waits for a slot, both at once: the disk works while other
/// attempts compute, and attempts get their slots in the order of their submission.
async fn prepare<'a>(
    shared: &'a Arc<Shared>,
    spec: &AttemptSpec,
) -> Result<Prepared<'a>, RunnerError> {
    let mut record = SpecRecord::new(
        spec.trial.id.clone(),
        spec.attempt,
        spec.trial.given.clone(),
        spec.trial.parameters.clone(),
        shared.sweep.provenance.clone(),
    );
    record.data.clone_from(&spec.trial.data);
    let folder = Arc::clone(&shared.sweep.folder);
    let create = blocking("create an attempt's folder", move || {
        folder.create_attempt(&record)
    });
    let slot = async {
        tokio::select! {
            biased;
            () = shared.cancelled(&spec.trial.id) => None,
            slot = shared.sweep.slots.acquire() => Some(slot),
        }
    };
    let (slot, folder) = tokio::join!(slot, create);
    let folder = folder?;
    if shared.is_stopping() {
        // The attempt never began: its folder holds nothing worth keeping.
        let _ = std::fs::remove_dir_all(&folder);
        return Ok(Prepared::Withdrawn);
    }
    Ok(match slot {
        Some(slot) => Prepared::Ready { folder, slot },
        None => Prepared::Cancelled { folder },
    })
}

/// An attempt whose process has ended.
struct Execution {
    folder: PathBuf,
    allocation: Allocation,
    exit: Result<ExitStatus, ExecutorError>,
    stop_reason: Option<FailureReason>,
}

/// Runs the attempt's process in `slot`, and frees the slot before anything is published, so that
/// the next attempt computes while the disk works.
async fn execute(
    shared: &Shared,
    spec: &AttemptSpec,
    folder: PathBuf,
    slot: Slot<'_>,
) -> Execution {
    let trial = &spec.trial.id;
    debug!(trial, attempt = spec.attempt, "attempt started");
    let (started, group) = oneshot::channel();
    let mut stops = AttemptStops {
        shutdown: shared.shutdown.clone(),
        applied_shutdown: None,
        cancelled: shared.cancelled.clone(),
        is_cancelled: false,
        trial,
    };
    let (exit, stop_reason) = supervise(
        Limits::from(&shared.sweep.policy),
        async { group.await.ok() },
        &mut stops,
        shared
            .sweep
            .server
            .execute(&folder, slot.allocation(), started),
    )
    .await;
    debug!(
        trial,
        attempt = spec.attempt,
        ?exit,
        ?stop_reason,
        "attempt ended"
    );
    Execution {
        folder,
        allocation: slot.allocation().clone(),
        exit,
        stop_reason,
    }
}

impl Shared {
    /// Whether the sweep is being stopped.
    fn is_stopping(&self) -> bool {
        self.shutdown.borrow().is_some()
    }

    /// Waits until a trial is to be cancelled.
    async fn cancelled(&self, trial: &str) {
        wait_until_cancelled(&mut self.cancelled.clone(), trial).await;
    }
}

async fn wait_until_cancelled(cancelled: &mut watch::Receiver<HashSet<String>>, trial: &str) {
    let requested = cancelled
        .wait_for(|trials| trials.contains(trial))
        .await
        .is_ok();
    if !requested {
        // The executor is gone, so no request can come any more.
        std::future::pending().await
    }
}

/// What stops a single attempt: a shutdown of the executor, or the cancellation of its trial.
struct AttemptStops<'a> {
    shutdown: watch::Receiver<Option<Shutdown>>,
    applied_shutdown: Option<Shutdown>,
    cancelled: watch::Receiver<HashSet<String>>,
    is_cancelled: bool,
    trial: &'a str,
}

impl StopRequests for AttemptStops<'_> {
    async fn next(&mut self) -> StopRequest {
        let applied = self.applied_shutdown;
        let shutdown = async {
            let changed = self.shutdown.wait_for(|new| *new != applied).await;
            match changed.map(|shutdown| *shutdown) {
                Ok(shutdown) => shutdown,
                // The executor is gone, so it cannot be shut down any more.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            shutdown = shutdown => {
                self.applied_shutdown = shutdown;
                // The dispatcher ends the grace period of a shutdown, with a forced one.
                if shutdown == Some(Shutdown::Forced) {
                    StopRequest::Kill
                } else {
                    StopRequest::Interrupt
                }
            }
            () = wait_until_cancelled(&mut self.cancelled, self.trial), if !self.is_cancelled => {
                self.is_cancelled = true;
                StopRequest::Cancel
            }
        }
    }
}
