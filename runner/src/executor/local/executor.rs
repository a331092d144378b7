use std::collections::HashSet;
use std::sync::Arc;

use offmodel_cells::parameters::Parameter;
use offmodel_program::Notebook;
use tokio::sync::watch;

use super::attempt::run_attempt;
use super::{ForkServer, Slots};
use crate::executor::{AttemptSpec, EventSender, Executor, Shutdown};
use crate::store::{Provenance, SweepFolder};
use crate::sweep::Policy;

/// What all attempts of a sweep on this machine share.
#[derive(Debug)]
pub struct LocalSweep {
    /// Where results go.
    pub folder: Arc<SweepFolder>,
    /// The notebook that is executed.
    pub notebook: Notebook,
    /// The parameters that the notebook declares.
    pub parameters: Vec<Parameter>,
    /// Where code and environment came from.
    pub provenance: Provenance,
    /// Limits of time and memory.
    pub policy: Policy,
    /// The process that forks attempts.
    pub server: ForkServer,
    /// As many attempts run at once as there are slots.
    pub slots: Slots,
}

/// Runs attempts on this machine.
#[derive(Debug)]
pub struct LocalExecutor {
    shared: Arc<Shared>,
    events: EventSender,
    shutdown: watch::Sender<Option<Shutdown>>,
    cancelled: watch::Sender<HashSet<String>>,
}

/// What every attempt sees of the executor.
#[derive(Debug)]
pub(super) struct Shared {
    pub sweep: LocalSweep,
    /// `Graceful` or `Forced` once the sweep is stopped.
    pub shutdown: watch::Receiver<Option<Shutdown>>,
    /// The trials that are to be cancelled.
    pub cancelled: watch::Receiver<HashSet<String>>,
}

impl LocalExecutor {
    /// An executor that reports to `events`.
    pub fn new(sweep: LocalSweep, events: EventSender) -> Self {
        let (shutdown, shutdown_receiver) = watch::channel(None);
        let (cancelled, cancelled_receiver) = watch::channel(HashSet::new());
        let shared = Arc::new(Shared {
            sweep,
            shutdown: shutdown_receiver,
            cancelled: cancelled_receiver,
        });
        Self {
            shared,
            events,
            shutdown,
            cancelled,
        }
    }
}

impl Executor for LocalExecutor {
    fn workers(&self) -> Option<usize> {
        Some(self.shared.sweep.slots.count())
    }

    fn submit(&self, index: usize, spec: AttemptSpec) {
        tokio::spawn(run_attempt(
            Arc::clone(&self.shared),
            index,
            spec,
            self.events.clone(),
        ));
    }

    fn cancel(&self, trial: &str) {
        self.cancelled
            .send_if_modified(|trials| trials.insert(trial.to_owned()));
    }

    fn shut_down(&self, shutdown: Shutdown) {
        // The dispatcher itself withdraws what has not begun: here, every submitted attempt either
        // runs or is next to.
        if shutdown != Shutdown::Withdraw {
            self.shutdown.send_replace(Some(shutdown));
        }
    }
}
