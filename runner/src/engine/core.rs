use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::error::RunnerError;
use crate::executor::{AttemptOutcome, Shutdown};
use crate::store::{AttemptResult, FailureReason, Status};
use crate::sweep::Policy;

#[cfg(test)]
mod tests;

/// Something that happened in a sweep. Trials are named by their index in the dispatcher's list.
#[derive(Debug)]
pub enum Event {
    /// The attempt at a trial is over. An error is one of the runner's own, such as a full disk.
    Finished {
        /// The trial.
        index: usize,
        /// What became of the attempt.
        outcome: Result<AttemptOutcome, RunnerError>,
    },
    /// The pause before a retry is over.
    RetryDue(usize),
    /// The user cancels one trial.
    CancelRequested(usize),
    /// The user stops the whole sweep: Ctrl-C, SIGTERM or SIGHUP.
    StopSignal,
    /// The grace period is over that [`Action::StartGracePeriod`] began.
    GracePeriodOver,
}

/// What the dispatcher must do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Submit an attempt at a trial to the executor.
    Start(usize),
    /// Send [`Event::RetryDue`] after a pause; the attempt that follows has the next number.
    Retry(usize, Duration),
    /// Let the executor cancel a trial.
    Cancel(usize),
    /// Remove a request to cancel a trial that is over.
    DiscardCancelRequest(usize),
    /// Let the executor shut down.
    StopExecutor(Shutdown),
    /// Send [`Event::GracePeriodOver`] after the grace period.
    StartGracePeriod,
    /// Tell the user that the sweep is being stopped.
    AnnounceStop,
}

/// What became of a sweep.
#[derive(Debug, Default)]
pub struct Summary {
    /// Trials that succeeded.
    pub succeeded: usize,
    /// Trials that failed, after the retries that they were granted.
    pub failed: usize,
    /// Trials that the user cancelled.
    pub cancelled: usize,
    /// Trials that were stopped or never began; the next run takes them up.
    pub interrupted: usize,
    /// Whether `max_failures` was reached, so that no further trial began.
    pub gave_up: bool,
    /// Whether the user stopped the sweep.
    pub stopped: bool,
    /// The first of the runner's own errors, which stopped the sweep.
    pub error: Option<RunnerError>,
}

/// The state of a sweep and all decisions about it, free of any effect.
///
/// Every trial is in exactly one place: waiting, active, pausing, or counted in the summary.
#[derive(Debug)]
pub struct Core {
    /// Trials that have not begun, or whose pause before a retry is over; the next one first.
    waiting: VecDeque<usize>,
    /// Trials whose attempt was submitted and has not finished.
    active: BTreeSet<usize>,
    /// Trials that pause before a retry.
    pausing: BTreeSet<usize>,
    /// The most active trials at the same time; `None` if the executor queues them itself.
    max_active: Option<usize>,
    /// How many retries each trial has had.
    retries: BTreeMap<usize, usize>,
    /// Trials that the user cancelled: they are not retried.
    cancelled: BTreeSet<usize>,
    policy: Policy,
    phase: Phase,
    summary: Summary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Running attempts were asked to end.
    Stopping,
    /// Running attempts were killed.
    Killing,
}

impl Core {
    /// The state before the first attempt, for `count` trials of which `workers` run at the same
    /// time (`None`: as many as the executor likes).
    pub fn new(count: usize, workers: Option<usize>, policy: &Policy) -> Self {
        Self {
            waiting: (0..count).collect(),
            active: BTreeSet::new(),
            pausing: BTreeSet::new(),
            // As many as run, as many again that create their folder or publish their result, and
            // one that waits for the next free slot.
            max_active: workers.map(|workers| workers.saturating_mul(2).saturating_add(1)),
            retries: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            policy: policy.clone(),
            phase: Phase::Running,
            summary: Summary::default(),
        }
    }

    /// The first actions.
    pub fn begin(&mut self) -> Vec<Action> {
        self.start_waiting()
    }

    /// Whether nothing is left to do.
    pub fn is_finished(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty() && self.pausing.is_empty()
    }

    /// The counts of a sweep that [is finished](Self::is_finished).
    pub fn into_summary(self) -> Summary {
        self.summary
    }

    /// Takes note of an event and decides what follows from it.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Finished { index, outcome } => self.finish(index, outcome),
            Event::RetryDue(index) => self.end_pause(index),
            Event::CancelRequested(index) => self.cancel(index),
            Event::StopSignal => self.stop_by_user(),
            Event::GracePeriodOver => self.kill(),
        }
    }

    fn finish(
        &mut self,
        index: usize,
        outcome: Result<AttemptOutcome, RunnerError>,
    ) -> Vec<Action> {
        self.active.remove(&index);
        match outcome {
            Ok(AttemptOutcome::Published(result)) => self.finish_published(index, &result),
            Ok(AttemptOutcome::Interrupted) => {
                self.summary.interrupted += 1;
                self.start_waiting()
            }
            Err(error) => {
                self.summary.interrupted += 1;
                self.summary.error.get_or_insert(error);
                // What hit this attempt, such as a full disk, hits the next ones as well.
                self.stop()
            }
        }
    }

    fn finish_published(&mut self, index: usize, result: &AttemptResult) -> Vec<Action> {
        // The trial has a result, so drop any pending request to cancel it.
        let mut actions = vec![Action::DiscardCancelRequest(index)];
        match result.status {
            Status::Succeeded => self.summary.succeeded += 1,
            Status::Cancelled => self.summary.cancelled += 1,
            Status::Failed => match self.grant_retry(index, result.cause.as_ref()) {
                Some(pause) => {
                    self.pausing.insert(index);
                    actions.push(Action::Retry(index, pause));
                }
                None => {
                    self.summary.failed += 1;
                    actions.extend(self.give_up_if_too_many_failed());
                }
            },
        }
        actions.extend(self.start_waiting());
        actions
    }

    /// The pause before another attempt, if the policy grants one for this kind of failure.
    fn grant_retry(&mut self, index: usize, failure: Option<&FailureReason>) -> Option<Duration> {
        let granted = failure.map_or(0, |failure| failure.retries(&self.policy.retry));
        let is_open = self.phase == Phase::Running
            && !self.summary.gave_up
            && !self.cancelled.contains(&index);
        let had = self.retries.entry(index).or_default();
        if !is_open || *had >= granted {
            return None;
        }
        let pause = self.policy.retry.pause(*had);
        *had += 1;
        Some(pause)
    }

    fn give_up_if_too_many_failed(&mut self) -> Option<Action> {
        if Some(self.summary.failed) != self.policy.max_failures {
            return None;
        }
        self.summary.gave_up = true;
        self.drop_not_begun();
        // After a stop, the executor has gone further already.
        (self.phase == Phase::Running && !self.active.is_empty())
            .then_some(Action::StopExecutor(Shutdown::Withdraw))
    }

    fn end_pause(&mut self, index: usize) -> Vec<Action> {
        // After a stop or a cancellation the trial no longer pauses.
        if self.pausing.remove(&index) {
            self.waiting.push_front(index);
        }
        self.start_waiting()
    }

    /// Cancels a trial. One that does not run starts at once, whatever `max_active` says, so that
    /// the executor records it as cancelled; that takes no slot.
    fn cancel(&mut self, index: usize) -> Vec<Action> {
        let is_idle = self.pausing.contains(&index) || self.waiting.contains(&index);
        if !is_idle && !self.active.contains(&index) {
            return vec![Action::DiscardCancelRequest(index)];
        }
        self.cancelled.insert(index);
        let mut actions = vec![Action::Cancel(index)];
        // While the sweep is being stopped nothing waits or pauses, so nothing is started.
        if is_idle {
            self.pausing.remove(&index);
            self.waiting.retain(|waiting| *waiting != index);
            self.active.insert(index);
            actions.push(Action::Start(index));
        }
        actions
    }

    /// The first signal stops the sweep, the second one kills what still runs.
    fn stop_by_user(&mut self) -> Vec<Action> {
        self.summary.stopped = true;
        if self.phase != Phase::Running {
            return self.kill();
        }
        let mut actions = self.stop();
        if !actions.is_empty() {
            actions.push(Action::AnnounceStop);
        }
        actions
    }

    fn stop(&mut self) -> Vec<Action> {
        if self.phase != Phase::Running {
            return Vec::new();
        }
        self.phase = Phase::Stopping;
        self.drop_not_begun();
        if self.active.is_empty() {
            return Vec::new();
        }
        vec![
            Action::StopExecutor(Shutdown::Graceful),
            Action::StartGracePeriod,
        ]
    }

    fn kill(&mut self) -> Vec<Action> {
        if self.phase == Phase::Killing || self.active.is_empty() {
            return Vec::new();
        }
        self.phase = Phase::Killing;
        vec![Action::StopExecutor(Shutdown::Forced)]
    }

    /// Leaves trials that wait or pause to the next run.
    fn drop_not_begun(&mut self) {
        self.summary.interrupted += self.waiting.len() + self.pausing.len();
        self.waiting.clear();
        self.pausing.clear();
    }

    /// Starts as many attempts as there is room for.
    fn start_waiting(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while self
            .max_active
            .is_none_or(|max_active| self.active.len() < max_active)
        {
            let Some(index) = self.waiting.pop_front() else {
                break;
            };
            self.active.insert(index);
            actions.push(Action::Start(index));
        }
        actions
    }
}
