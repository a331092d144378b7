use proptest::prelude::*;

use super::*;
use crate::store::RESULT_VERSION;
use crate::sweep::Retry;

fn published(status: Status, cause: Option<FailureReason>) -> AttemptOutcome {
    AttemptOutcome::Published(Box::new(AttemptResult {
        version: RESULT_VERSION,
        trial: String::new(),
        attempt: 1,
        status,
        cause,
        program: None,
        started: None,
        ended: String::new(),
        seconds: 1.0,
        peak_memory: 0,
        cores: Vec::new(),
        gpus: Vec::new(),
        frames: Vec::new(),
    }))
}

fn succeeded() -> AttemptOutcome {
    published(Status::Succeeded, None)
}

fn failed() -> AttemptOutcome {
    published(Status::Failed, Some(FailureReason::Timeout { limit: 1.0 }))
}

fn cancelled() -> AttemptOutcome {
    published(Status::Cancelled, Some(FailureReason::Cancelled))
}

/// Finishes an attempt; returns the actions but the removal of its cancel request.
fn finish(core: &mut Core, index: usize, outcome: AttemptOutcome) -> Vec<Action> {
    let outcome = Ok(outcome);
    let mut actions = core.handle(Event::Finished { index, outcome });
    actions.retain(|action| *action != Action::DiscardCancelRequest(index));
    actions
}

fn core(count: usize, policy: &Policy) -> Core {
    let mut core = Core::new(count, Some(1), policy);
    core.begin();
    core
}

fn retrying(timeout: usize) -> Policy {
    Policy {
        retry: Retry {
            timeout,
            backoff: Duration::from_secs(3),
            ..Retry::default()
        },
        ..Policy::default()
    }
}

#[test]
fn twice_the_workers_and_one_more_attempt_are_active() {
    let mut core = Core::new(10, Some(1), &Policy::default());
    assert_eq!(
        core.begin(),
        [Action::Start(0), Action::Start(1), Action::Start(2)]
    );
    assert_eq!(finish(&mut core, 0, succeeded()), [Action::Start(3)]);
}

#[test]
fn an_executor_that_queues_by_itself_gets_all_attempts_at_once() {
    let mut core = Core::new(4, None, &Policy::default());
    assert_eq!(core.begin(), [0, 1, 2, 3].map(Action::Start));
}

#[test]
fn a_failure_is_retried_as_often_as_its_reason_is_granted() {
    let mut core = core(1, &retrying(2));
    for pause in [3, 6] {
        let pause = Duration::from_secs(pause);
        assert_eq!(finish(&mut core, 0, failed()), [Action::Retry(0, pause)]);
        assert!(!core.is_finished());
        assert_eq!(core.handle(Event::RetryDue(0)), [Action::Start(0)]);
    }
    assert_eq!(finish(&mut core, 0, failed()), []);
    assert!(core.is_finished());
    assert_eq!(core.summary.failed, 1);
}

#[test]
fn a_cancelled_trial_that_waits_starts_at_once_to_be_recorded() {
    let mut core = core(6, &Policy::default());
    assert_eq!(
        core.handle(Event::CancelRequested(5)),
        [Action::Cancel(5), Action::Start(5)]
    );
    assert_eq!(core.handle(Event::CancelRequested(5)), [Action::Cancel(5)]);
}

#[test]
fn a_cancelled_trial_that_pauses_starts_at_once_and_only_once() {
    let mut core = core(1, &retrying(1));
    finish(&mut core, 0, failed());
    assert_eq!(
        core.handle(Event::CancelRequested(0)),
        [Action::Cancel(0), Action::Start(0)]
    );
    assert_eq!(core.handle(Event::RetryDue(0)), []);
    finish(&mut core, 0, cancelled());
    assert!(core.is_finished());
    assert_eq!((core.summary.failed, core.summary.cancelled), (0, 1));
}

#[test]
fn a_cancelled_trial_that_fails_is_not_retried() {
    let mut core = core(1, &retrying(1));
    assert_eq!(core.handle(Event::CancelRequested(0)), [Action::Cancel(0)]);
    assert_eq!(finish(&mut core, 0, failed()), []);
    assert!(core.is_finished());
}

#[test]
fn a_request_to_cancel_a_trial_that_is_over_is_discarded() {
    let mut core = core(2, &Policy::default());
    finish(&mut core, 0, succeeded());
    assert_eq!(
        core.handle(Event::CancelRequested(0)),
        [Action::DiscardCancelRequest(0)]
    );
}

#[test]
fn the_first_signal_stops_in_order_and_the_second_kills() {
    let mut core = core(10, &Policy::default());
    assert_eq!(
        core.handle(Event::StopSignal),
        [
            Action::StopExecutor(Shutdown::Graceful),
            Action::StartGracePeriod,
            Action::AnnounceStop
        ]
    );
    assert_eq!(
        core.handle(Event::StopSignal),
        [Action::StopExecutor(Shutdown::Forced)]
    );
    assert_eq!(core.handle(Event::StopSignal), [], "killed already");
    for index in 0..3 {
        assert!(!core.is_finished());
        let actions = finish(&mut core, index, AttemptOutcome::Interrupted);
        assert_eq!(actions, [], "nothing new starts");
    }
    assert!(core.is_finished());
    assert_eq!(core.summary.interrupted, 10);
}

#[test]
fn the_end_of_the_grace_period_kills() {
    let mut core = core(1, &Policy::default());
    core.handle(Event::StopSignal);
    assert_eq!(
        core.handle(Event::GracePeriodOver),
        [Action::StopExecutor(Shutdown::Forced)]
    );
}

#[test]
fn a_stop_does_not_wait_for_pauses() {
    let mut core = core(1, &retrying(1));
    finish(&mut core, 0, failed());
    assert_eq!(core.handle(Event::StopSignal), []);
    assert!(core.is_finished());
    assert_eq!(core.handle(Event::RetryDue(0)), []);
}

#[test]
fn after_too_many_failures_nothing_new_starts() {
    let policy = Policy {
        max_failures: Some(2),
        ..Policy::default()
    };
    let mut core = core(10, &policy);
    assert_eq!(finish(&mut core, 0, failed()), [Action::Start(3)]);
    assert_eq!(
        finish(&mut core, 1, failed()),
        [Action::StopExecutor(Shutdown::Withdraw)]
    );
    finish(&mut core, 2, failed());
    finish(&mut core, 3, failed());
    assert!(core.is_finished());
    assert_eq!((core.summary.failed, core.summary.interrupted), (4, 6));
}

#[test]
fn an_error_of_the_runner_stops_the_sweep() {
    let mut core = core(10, &Policy::default());
    let outcome = Err(RunnerError::NoCache);
    assert_eq!(
        core.handle(Event::Finished { index: 0, outcome }),
        [
            Action::StopExecutor(Shutdown::Graceful),
            Action::StartGracePeriod
        ]
    );
    finish(&mut core, 1, AttemptOutcome::Interrupted);
    finish(&mut core, 2, AttemptOutcome::Interrupted);
    assert!(core.is_finished());
    assert!(core.summary.error.is_some());
    assert!(!core.summary.stopped);
}

/// A world that does what the core says, with random timing.
struct World {
    core: Core,
    active: Vec<usize>,
    pausing: Vec<usize>,
    /// Whether a grace period runs.
    in_grace_period: bool,
    /// How far the executor was shut down.
    shutdown: Option<Shutdown>,
    /// How often each trial reached an end of its own: finished and not retried.
    ends: Vec<usize>,
}

/// A random choice of what happens next; the number picks among the possible trials.
#[derive(Debug, Clone)]
enum Step {
    Succeed(usize),
    Fail(usize),
    Interrupt(usize),
    Break(usize),
    EndPause(usize),
    Cancel(usize),
    Signal,
    EndGracePeriod,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => any::<usize>().prop_map(Step::Succeed),
        8 => any::<usize>().prop_map(Step::Fail),
        2 => any::<usize>().prop_map(Step::Interrupt),
        1 => any::<usize>().prop_map(Step::Break),
        6 => any::<usize>().prop_map(Step::EndPause),
        4 => any::<usize>().prop_map(Step::Cancel),
        1 => Just(Step::Signal),
        2 => Just(Step::EndGracePeriod),
    ];
    prop::collection::vec(step, 0..80)
}

impl World {
    fn new(count: usize, workers: Option<usize>, policy: &Policy) -> Self {
        let mut world = Self {
            core: Core::new(count, workers, policy),
            active: Vec::new(),
            pausing: Vec::new(),
            in_grace_period: false,
            shutdown: None,
            ends: vec![0; count],
        };
        let actions = world.core.begin();
        world.carry_out(actions);
        world
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start(index) => {
                    assert_eq!(self.shutdown, None, "{index} starts after a stop");
                    assert!(!self.active.contains(&index), "{index} runs twice");
                    self.active.push(index);
                }
                Action::Retry(index, _) => {
                    self.ends[index] -= 1;
                    self.pausing.push(index);
                }
                Action::StopExecutor(shutdown) => {
                    let goes_further = matches!(
                        (self.shutdown, shutdown),
                        (None, _)
                            | (Some(Shutdown::Withdraw), Shutdown::Graceful)
                            | (Some(Shutdown::Graceful), Shutdown::Forced)
                    );
                    assert!(goes_further, "{:?} then {shutdown:?}", self.shutdown);
                    self.shutdown = Some(shutdown);
                }
                Action::StartGracePeriod => self.in_grace_period = true,
                Action::Cancel(_) | Action::DiscardCancelRequest(_) | Action::AnnounceStop => {}
            }
        }
    }

    fn finish(&mut self, choice: usize, outcome: Result<AttemptOutcome, RunnerError>) {
        if self.active.is_empty() {
            return;
        }
        let index = self.active.remove(choice % self.active.len());
        self.ends[index] += 1;
        let actions = self.core.handle(Event::Finished { index, outcome });
        self.carry_out(actions);
    }

    fn end_pause(&mut self, choice: usize) {
        if self.pausing.is_empty() {
            return;
        }
        let index = self.pausing.remove(choice % self.pausing.len());
        let actions = self.core.handle(Event::RetryDue(index));
        self.carry_out(actions);
    }

    fn take(&mut self, step: &Step) {
        let event = match *step {
            Step::Succeed(choice) => return self.finish(choice, Ok(succeeded())),
            Step::Fail(choice) => return self.finish(choice, Ok(failed())),
            Step::Interrupt(choice) => {
                return self.finish(choice, Ok(AttemptOutcome::Interrupted));
            }
            Step::Break(choice) => return self.finish(choice, Err(RunnerError::NoCache)),
            Step::EndPause(choice) => return self.end_pause(choice),
            Step::Cancel(choice) => Event::CancelRequested(choice % self.ends.len()),
            Step::EndGracePeriod if !self.in_grace_period => return,
            Step::EndGracePeriod => {
                self.in_grace_period = false;
                Event::GracePeriodOver
            }
            Step::Signal => Event::StopSignal,
        };
        let actions = self.core.handle(event);
        self.carry_out(actions);
    }

    fn run_to_end(&mut self) {
        while !self.core.is_finished() {
            assert!(
                !self.active.is_empty() || !self.pausing.is_empty(),
                "the core waits for an event that cannot come"
            );
            self.end_pause(0);
            self.finish(0, Ok(succeeded()));
        }
    }
}

proptest! {
    #[test]
    fn every_order_of_events_ends_with_each_trial_counted_once(
        count in 1..12_usize,
        workers in prop::option::of(1..4_usize),
        retries in 0..3_usize,
        max_failures in prop::option::of(1..4_usize),
        steps in steps(),
    ) {
        let policy = Policy { max_failures, ..retrying(retries) };
        let mut world = World::new(count, workers, &policy);
        for step in &steps {
            world.take(step);
        }
        world.run_to_end();
        prop_assert!(world.ends.iter().all(|&ends| ends <= 1), "{:?}", world.ends);
        let summary = world.core.into_summary();
        let counted =
            summary.succeeded + summary.failed + summary.cancelled + summary.interrupted;
        prop_assert_eq!(counted, count);
        let not_begun = world.ends.iter().filter(|&&ends| ends == 0).count();
        prop_assert!(not_begun <= summary.interrupted);
    }
}
