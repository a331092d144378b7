//! Which attempt runs when.
//!
//! All that happens in a sweep (steps of attempts, signals, the end of a grace period) arrives
//! here in one linear order. The [`Core`] decides without touching anything; [`run`] does what
//! it says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{sleep, sleep_until};

use crate::cancellations::Cancellations;
use crate::error::RunnerError;
use crate::executor::single::{GRACE, StopSignals, signal_group};
use crate::executor::{Executor, Halt, Outcome, Step, Work};
use crate::progress::Progress;
use crate::store::{AttemptResult, Status};
use crate::sweep::Policy;

/// What a sweep came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Attempts that succeeded.
    pub succeeded: usize,
    /// Attempts that failed.
    pub failed: usize,
    /// Trials that somebody cancelled.
    pub cancelled: usize,
    /// Attempts that were stopped or never started.
    pub interrupted: usize,
    /// Whether so many trials failed that no further one began.
    pub gave_up: bool,
    /// Whether someone asked to stop.
    pub stopped: bool,
    /// The first error of our own, which ended the sweep.
    pub error: Option<RunnerError>,
}

/// Runs all work and reports it.
pub async fn run(
    executor: &dyn Executor,
    policy: &Policy,
    mut work: Vec<Work>,
    mut signals: StopSignals,
    mut cancellations: Cancellations,
    progress: &mut Progress,
) -> Summary {
    let (steps, mut inbox) = unbounded_channel();
    let mut core = Core::new(work.len(), executor.workers(), policy);
    let mut actions = core.fill();
    let mut deadline = None;
    let mut withdrawn = false;
    loop {
        for action in actions.drain(..) {
            match action {
                Action::Start(index) => executor.submit(index, work[index].clone(), &steps),
                Action::Retry(index, pause) => {
                    work[index].attempt += 1;
                    progress.say(&format!(
                        "trial {} is tried again in {:.0} s",
                        work[index].trial.id,
                        pause.as_secs_f64()
                    ));
                    let steps = steps.clone();
                    tokio::spawn(async move {
                        sleep(pause).await;
                        // The dispatcher may have stopped meanwhile.
                        let _ = steps.send((index, Step::Due));
                    });
                }
                Action::Interrupt(process) => signal_group(Some(process), libc::SIGINT),
                Action::Kill(process) => signal_group(Some(process), libc::SIGKILL),
            }
        }
        if core.is_finished() {
            return core.summary;
        }
        if core.stop == Stop::Asked && deadline.is_none() {
            deadline = Some(Instant::now() + GRACE);
            executor.halt(Halt::Asked);
            if core.summary.stopped {
                progress.say("stopping: waiting for the running attempts (again to kill them)");
            }
        }
        if core.summary.gave_up && !withdrawn {
            withdrawn = true;
            executor.halt(Halt::Withdrawn);
        }
        let grace_end = deadline.unwrap_or_else(Instant::now);
        actions = tokio::select! {
            // `steps` itself keeps the channel open.
            Some((index, step)) = inbox.recv() => {
                match &step {
                    Step::Done(Ok(Outcome::Published(result))) => {
                        // It may have taken more than one attempt to get there.
                        work[index].attempt = result.attempt;
                        progress.attempt_ended(&work[index], result);
                        // Whoever wanted to cancel it has the answer: it is not tried again.
                        cancellations.settle(&work[index].trial.id);
                    }
                    Step::Said(line) => progress.say(line),
                    _ => {}
                }
                core.on_step(index, step)
            }
            requested = cancellations.next() => {
                let mut actions = Vec::new();
                for trial in requested {
                    match work.iter().position(|work| work.trial.id == trial) {
                        Some(index) if core.is_open(index) => {
                            executor.cancel(&trial);
                            actions.extend(core.on_cancel(index));
                        }
                        _ => cancellations.settle(&trial),
                    }
                }
                actions
            }
            () = signals.recv() => core.on_signal(),
            () = sleep_until(grace_end.into()), if deadline.is_some() && core.stop == Stop::Asked => {
                core.on_grace_over()
            }
        };
        if core.stop == Stop::Forced {
            executor.halt(Halt::Forced);
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Begin the attempt with this index.
    Start(usize),
    /// Make another attempt at the trial with this index, after a pause.
    Retry(usize, Duration),
    /// Ask this process group to stop.
    Interrupt(i32),
    /// End this process group.
    Kill(i32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// Processes were asked to stop.
    Asked,
    /// Processes were killed.
    Forced,
}

/// The decisions, free of any effect.
#[derive(Debug)]
pub struct Core {
    waiting: VecDeque<usize>,
    /// Begun and not done.
    active: BTreeSet<usize>,
    /// Attempts in flight: those running, and as many again that prepare or publish.
    limit: usize,
    processes: BTreeMap<usize, i32>,
    /// How many retries each trial had.
    retries: BTreeMap<usize, usize>,
    /// Trials that pause before their next attempt.
    pausing: BTreeSet<usize>,
    /// Trials that are to be cancelled: they are not tried again.
    cancelled: BTreeSet<usize>,
    policy: Policy,
    stop: Stop,
    summary: Summary,
}

impl Core {
    /// With `count` attempts to make, `workers` at once.
    pub fn new(count: usize, workers: usize, policy: &Policy) -> Self {
        Self {
            waiting: (0..count).collect(),
            active: BTreeSet::new(),
            limit: workers.saturating_mul(2).saturating_add(1),
            processes: BTreeMap::new(),
            retries: BTreeMap::new(),
            pausing: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            policy: policy.clone(),
            stop: Stop::No,
            summary: Summary::default(),
        }
    }

    /// Begins as many attempts as there is room for.
    pub fn fill(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while self.stop == Stop::No && self.active.len() < self.limit {
            let Some(index) = self.waiting.pop_front() else {
                break;
            };
            self.active.insert(index);
            actions.push(Action::Start(index));
        }
        actions
    }

    /// An attempt told something.
    pub fn on_step(&mut self, index: usize, step: Step) -> Vec<Action> {
        match step {
            Step::Started { process } => {
                self.processes.insert(index, process);
                // It was on its way when the others were told.
                return match self.stop {
                    Stop::No => Vec::new(),
                    Stop::Asked => vec![Action::Interrupt(process)],
                    Stop::Forced => vec![Action::Kill(process)],
                };
            }
            Step::Ended => {
                self.processes.remove(&index);
                return Vec::new();
            }
            Step::Said(_) => return Vec::new(),
            Step::Due => {
                // After a stop nothing pauses any more: then it is counted already.
                if self.pausing.remove(&index) {
                    self.waiting.push_front(index);
                }
                return self.fill();
            }
            Step::Done(Ok(Outcome::Published(result))) => match result.status {
                Status::Succeeded => self.summary.succeeded += 1,
                Status::Cancelled => self.summary.cancelled += 1,
                Status::Failed => {
                    if let Some(pause) = self.pause_before_retry(index, &result) {
                        self.active.remove(&index);
                        self.pausing.insert(index);
                        let mut actions = vec![Action::Retry(index, pause)];
                        actions.extend(self.fill());
                        return actions;
                    }
                    self.summary.failed += 1;
                    if Some(self.summary.failed) == self.policy.max_failures {
                        self.summary.gave_up = true;
                        self.drop_waiting();
                    }
                }
            },
            Step::Done(Ok(Outcome::Interrupted)) => self.summary.interrupted += 1,
            Step::Done(Err(error)) => {
                self.active.remove(&index);
                self.summary.interrupted += 1;
                // One full disk is reason enough: what cannot be published is not worth running.
                self.summary.error.get_or_insert(error);
                return self.ask_to_stop();
            }
        }
        self.active.remove(&index);
        self.fill()
    }

    /// Whether a trial may still run, or run again.
    pub fn is_open(&self, index: usize) -> bool {
        self.active.contains(&index)
            || self.pausing.contains(&index)
            || self.waiting.contains(&index)
    }

    /// Somebody cancels a trial. One that does not run begins at once, to be recorded as cancelled:
    /// it needs no room.
    pub fn on_cancel(&mut self, index: usize) -> Vec<Action> {
        self.cancelled.insert(index);
        let waits = self.waiting.contains(&index);
        if self.stop != Stop::No || !(self.pausing.remove(&index) || waits) {
            return Vec::new();
        }
        self.waiting.retain(|waiting| *waiting != index);
        self.active.insert(index);
        vec![Action::Start(index)]
    }

    /// Ctrl-C or SIGTERM: the first asks, the second forces.
    pub fn on_signal(&mut self) -> Vec<Action> {
        self.summary.stopped = true;
        match self.stop {
            Stop::No => self.ask_to_stop(),
            Stop::Asked | Stop::Forced => self.on_grace_over(),
        }
    }

    /// Whoever still runs did not react.
    pub fn on_grace_over(&mut self) -> Vec<Action> {
        self.stop = Stop::Forced;
        self.processes
            .values()
            .map(|&process| Action::Kill(process))
            .collect()
    }

    /// Whether nothing is left to do.
    pub fn is_finished(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty() && self.pausing.is_empty()
    }

    /// Whether the trial of an attempt that failed is tried again.
    fn will_retry(&self, index: usize, result: &AttemptResult) -> bool {
        let granted = result
            .cause
            .as_ref()
            .map_or(0, |cause| cause.retries(&self.policy.retry));
        let had = self.retries.get(&index).copied().unwrap_or_default();
        self.stop == Stop::No
            && !self.summary.gave_up
            && !self.cancelled.contains(&index)
            && had < granted
    }

    /// The pause before another attempt, if the cause of the failure grants one.
    fn pause_before_retry(&mut self, index: usize, result: &AttemptResult) -> Option<Duration> {
        if !self.will_retry(index, result) {
            return None;
        }
        let had = self.retries.entry(index).or_default();
        *had += 1;
        Some(self.policy.retry.pause(*had - 1))
    }

    /// Trials that wait or pause are left for the next run.
    fn drop_waiting(&mut self) {
        self.summary.interrupted += self.waiting.len() + self.pausing.len();
        self.waiting.clear();
        self.pausing.clear();
    }

    fn ask_to_stop(&mut self) -> Vec<Action> {
        if self.stop != Stop::No {
            return Vec::new();
        }
        self.stop = Stop::Asked;
        self.drop_waiting();
        self.processes
            .values()
            .map(|&process| Action::Interrupt(process))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{Cause, RESULT_VERSION};
    use crate::sweep::Retry;

    fn failed() -> Step {
        Step::Done(Ok(Outcome::Published(Box::new(AttemptResult {
            version: RESULT_VERSION,
            trial: String::new(),
            attempt: 1,
            status: Status::Failed,
            cause: Some(Cause::Timeout { limit: 1.0 }),
            program: None,
            started: None,
            ended: String::new(),
            seconds: 1.0,
            peak_memory: 0,
            cores: Vec::new(),
            gpus: Vec::new(),
            frames: Vec::new(),
        }))))
    }

    fn cancelled() -> Step {
        let Step::Done(Ok(Outcome::Published(mut result))) = failed() else {
            unreachable!("a failure is published");
        };
        result.status = Status::Cancelled;
        result.cause = Some(Cause::Cancelled);
        Step::Done(Ok(Outcome::Published(result)))
    }

    #[test]
    fn a_failure_is_tried_again_as_often_as_its_cause_is_granted() {
        let backoff = Duration::from_secs(3);
        let retry = Retry {
            timeout: 2,
            backoff,
            ..Retry::default()
        };
        let policy = Policy {
            retry,
            ..Policy::default()
        };
        let mut core = Core::new(1, 1, &policy);
        core.fill();
        for doubled in [1, 2] {
            assert_eq!(
                core.on_step(0, failed()),
                [Action::Retry(0, backoff * doubled)]
            );
            assert!(!core.is_finished());
            assert_eq!(core.on_step(0, Step::Due), [Action::Start(0)]);
        }
        assert_eq!(core.on_step(0, failed()), []);
        assert!(core.is_finished());
        assert_eq!(core.summary.failed, 1);
    }

    #[test]
    fn a_cancelled_trial_begins_at_once_if_it_did_not_and_is_not_tried_again() {
        let retry = Retry {
            timeout: 1,
            ..Retry::default()
        };
        let policy = Policy {
            retry,
            ..Policy::default()
        };
        let mut core = Core::new(6, 1, &policy);
        core.fill();
        assert_eq!(core.on_cancel(5), [Action::Start(5)], "it waited");
        assert_eq!(core.on_cancel(5), []);
        assert_eq!(
            core.on_cancel(1),
            [],
            "it is under way: its executor ends it"
        );
        assert!(matches!(
            core.on_step(0, failed())[..],
            [Action::Retry(0, _)]
        ));
        assert_eq!(core.on_cancel(0), [Action::Start(0)], "it paused");
        assert_eq!(core.on_step(0, Step::Due), [], "its pause is over for good");
        assert_eq!(
            core.on_step(1, failed()),
            [],
            "failed while it was asked to stop"
        );
        for index in [0, 2, 3, 4, 5] {
            core.on_step(index, cancelled());
        }
        assert!(core.is_finished());
        assert!(!core.is_open(5));
        assert_eq!((core.summary.failed, core.summary.cancelled), (1, 5));
    }

    #[test]
    fn a_stop_does_not_wait_for_pauses() {
        let retry = Retry {
            timeout: 1,
            ..Retry::default()
        };
        let mut core = Core::new(
            1,
            1,
            &Policy {
                retry,
                ..Policy::default()
            },
        );
        core.fill();
        core.on_step(0, failed());
        core.on_signal();
        assert!(core.is_finished());
        assert_eq!(core.on_step(0, Step::Due), []);
    }

    #[test]
    fn after_too_many_failures_nothing_new_begins() {
        let policy = Policy {
            max_failures: Some(2),
            ..Policy::default()
        };
        let mut core = Core::new(10, 1, &policy);
        core.fill();
        assert_eq!(core.on_step(0, failed()), [Action::Start(3)]);
        assert_eq!(core.on_step(1, failed()), []);
        core.on_step(2, failed());
        core.on_step(3, failed());
        assert!(core.is_finished());
        assert_eq!((core.summary.failed, core.summary.interrupted), (4, 6));
    }

    use super::*;

    fn interrupted() -> Step {
        Step::Done(Ok(Outcome::Interrupted))
    }

    #[test]
    fn no_more_attempts_are_in_flight_than_twice_the_workers_and_one() {
        let mut core = Core::new(10, 1, &Policy::default());
        assert_eq!(
            core.fill(),
            [Action::Start(0), Action::Start(1), Action::Start(2)]
        );
        assert_eq!(core.fill(), []);
        assert_eq!(core.on_step(0, interrupted()), [Action::Start(3)]);
    }

    #[test]
    fn the_first_signal_asks_and_the_second_kills() {
        let mut core = Core::new(10, 1, &Policy::default());
        core.fill();
        core.on_step(0, Step::Started { process: 42 });
        assert_eq!(core.on_signal(), [Action::Interrupt(42)]);
        assert_eq!(
            core.on_step(1, Step::Started { process: 43 }),
            [Action::Interrupt(43)]
        );
        assert_eq!(core.on_signal(), [Action::Kill(42), Action::Kill(43)]);
        assert_eq!(
            core.on_step(2, Step::Started { process: 44 }),
            [Action::Kill(44)]
        );
        for index in 0..3 {
            core.on_step(index, Step::Ended);
            assert!(!core.is_finished());
            assert_eq!(core.on_step(index, interrupted()), [], "nothing new begins");
        }
        assert!(core.is_finished());
        assert_eq!(core.summary.interrupted, 10);
    }

    #[test]
    fn a_process_that_ended_gets_no_signal() {
        let mut core = Core::new(1, 1, &Policy::default());
        core.fill();
        core.on_step(0, Step::Started { process: 42 });
        core.on_step(0, Step::Ended);
        assert_eq!(core.on_signal(), []);
    }

    #[test]
    fn an_error_of_our_own_ends_the_sweep() {
        let mut core = Core::new(10, 1, &Policy::default());
        core.fill();
        core.on_step(1, Step::Started { process: 42 });
        assert_eq!(
            core.on_step(0, Step::Done(Err(RunnerError::NoCache))),
            [Action::Interrupt(42)]
        );
        core.on_step(1, interrupted());
        core.on_step(2, interrupted());
        assert!(core.is_finished());
        assert!(core.summary.error.is_some());
        assert!(!core.summary.stopped);
    }
}
