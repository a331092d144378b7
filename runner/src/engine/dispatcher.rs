use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};
use tracing::debug;

use super::{Action, CancelRequests, Core, Event, Summary};
use crate::executor::process::{GRACE_PERIOD, StopSignals};
use crate::executor::{AttemptOutcome, AttemptSpec, Executor, ExecutorEvent};
use crate::progress::Progress;
use crate::sweep::Policy;

/// What the dispatcher listens to, besides its own timers.
#[derive(Debug)]
pub struct Inputs {
    /// The events of the executor.
    pub executor_events: UnboundedReceiver<ExecutorEvent>,
    /// The user's signals to stop the sweep.
    pub signals: StopSignals,
    /// The user's requests to cancel single trials.
    pub cancel_requests: CancelRequests,
}

/// Makes all attempts, with the retries that `policy` grants, until none is left or the sweep is
/// stopped.
pub async fn dispatch(
    executor: &dyn Executor,
    policy: &Policy,
    attempts: Vec<AttemptSpec>,
    inputs: Inputs,
    progress: &mut Progress,
) -> Summary {
    let mut core = Core::new(attempts.len(), executor.workers(), policy);
    let mut dispatcher = Dispatcher {
        executor,
        attempts,
        inputs,
        pauses: JoinSet::new(),
        grace_end: None,
        progress,
    };
    let mut actions = core.begin();
    loop {
        for action in actions {
            dispatcher.carry_out(action);
        }
        if core.is_finished() {
            return core.into_summary();
        }
        let events = dispatcher.next_events().await;
        actions = events
            .into_iter()
            .flat_map(|event| core.handle(event))
            .collect();
    }
}

/// Everything with an effect: receives events and carries out actions, but decides nothing.
struct Dispatcher<'a> {
    executor: &'a dyn Executor,
    /// The next attempt at each trial, or the current one.
    attempts: Vec<AttemptSpec>,
    inputs: Inputs,
    /// Sleeps until a retry is due; each returns the index of its trial.
    pauses: JoinSet<usize>,
    /// When the grace period of a stop is over.
    grace_end: Option<Instant>,
    progress: &'a mut Progress,
}

impl Dispatcher<'_> {
    fn carry_out(&mut self, action: Action) {
        debug!(?action, "dispatcher acts");
        match action {
            Action::Start(index) => self.executor.submit(index, self.attempts[index].clone()),
            Action::Retry(index, pause) => self.retry(index, pause),
            Action::Cancel(index) => self.executor.cancel(&self.attempts[index].trial.id),
            Action::DiscardCancelRequest(index) => {
                let trial = &self.attempts[index].trial.id;
                self.inputs.cancel_requests.discard(trial);
            }
            Action::StopExecutor(shutdown) => self.executor.shut_down(shutdown),
            Action::StartGracePeriod => self.grace_end = Some(Instant::now() + GRACE_PERIOD),
            Action::AnnounceStop => self
                .progress
                .println("stopping: waiting for the running attempts (again to kill them)"),
        }
    }

    fn retry(&mut self, index: usize, pause: Duration) {
        let spec = &mut self.attempts[index];
        spec.attempt += 1;
        self.progress.println(&format!(
            "trial {} is tried again in {:.0} s",
            spec.trial.id,
            pause.as_secs_f64()
        ));
        self.pauses.spawn(async move {
            sleep(pause).await;
            index
        });
    }

    /// Waits for whatever happens next. Every branch is cancel-safe, so the events of those that
    /// are not ready come later, and none is lost.
    async fn next_events(&mut self) -> Vec<Event> {
        let grace_end = self.grace_end;
        tokio::select! {
            Some(event) = self.inputs.executor_events.recv() => self.receive(event),
            trials = self.inputs.cancel_requests.next() => self.receive_cancel_requests(trials),
            () = self.inputs.signals.recv() => {
                debug!("stop signal received");
                vec![Event::StopSignal]
            }
            Some(Ok(index)) = self.pauses.join_next() => vec![Event::RetryDue(index)],
            () = sleep_until(grace_end.unwrap_or_else(Instant::now).into()), if grace_end.is_some() => {
                self.grace_end = None;
                vec![Event::GracePeriodOver]
            }
        }
    }

    fn receive(&mut self, event: ExecutorEvent) -> Vec<Event> {
        match event {
            ExecutorEvent::Notice(line) => {
                self.progress.println(&line);
                Vec::new()
            }
            ExecutorEvent::Finished { index, outcome } => {
                if let Ok(AttemptOutcome::Published(result)) = &outcome {
                    let spec = &mut self.attempts[index];
                    // The executor makes further attempts of its own: after the fork server died,
                    // and when Slurm requeues a task.
                    spec.attempt = result.attempt;
                    self.progress.attempt_ended(spec, result);
                }
                vec![Event::Finished { index, outcome }]
            }
        }
    }

    fn receive_cancel_requests(&mut self, trials: Vec<String>) -> Vec<Event> {
        let mut events = Vec::new();
        for trial in trials {
            match self.attempts.iter().position(|spec| spec.trial.id == trial) {
                Some(index) => events.push(Event::CancelRequested(index)),
                // Not a trial of this run.
                None => self.inputs.cancel_requests.discard(&trial),
            }
        }
        events
    }
}
