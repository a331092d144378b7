use std::time::Duration;

use super::parse::JobState;
use crate::store::AttemptResult;

/// How long a result may take to become visible here after Slurm reported the end of its task: a
/// shared file system shows a node's new files some seconds late.
pub(super) const RESULT_DELAY: Duration = Duration::from_secs(3);

/// What the last poll of Slurm said about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobObservation<'a> {
    /// Slurm did not answer.
    Unreachable,
    /// Slurm answered and did not list the task: it forgets tasks some minutes after their end.
    Forgotten,
    /// Slurm listed the task with a state.
    State(&'a JobState),
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    /// The task waits or runs, or nothing is known about it.
    InProgress,
    /// The task published a result.
    Published(Box<AttemptResult>),
    /// The task ended without a result; in Slurm's word, if Slurm still knows it.
    Lost(Option<&'static str>),
}

/// Decides what became of a task that Slurm has reported as ended for `ended_for`.
///
/// A result outranks whatever Slurm says. Without one, only a state that is known to be final counts
/// as an end; silence and unknown states decide nothing.
pub(super) fn reconcile(
    observation: JobObservation<'_>,
    result: Option<AttemptResult>,
    ended_for: Duration,
) -> Decision {
    if let Some(result) = result {
        return Decision::Published(Box::new(result));
    }
    match observation {
        _ if ended_for < RESULT_DELAY => Decision::InProgress,
        JobObservation::State(JobState::Ended(word)) => Decision::Lost(Some(word)),
        JobObservation::Forgotten => Decision::Lost(None),
        JobObservation::Unreachable | JobObservation::State(_) => Decision::InProgress,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Status;

    fn result(status: Status) -> AttemptResult {
        let text = r#"{"version":1,"trial":"a","attempt":1,"status":"succeeded","cause":null,"ended":"","seconds":1.0,"peak_memory":0,"frames":[]}"#;
        let result: AttemptResult = serde_json::from_str(text).unwrap();
        AttemptResult { status, ..result }
    }

    #[test]
    fn a_result_outranks_the_state_that_slurm_reports() {
        for status in [Status::Succeeded, Status::Failed] {
            for word in ["FAILED", "NODE_FAIL", "COMPLETED"] {
                let state = JobState::Ended(word);
                let observation = JobObservation::State(&state);
                assert_eq!(
                    reconcile(observation, Some(result(status)), Duration::ZERO),
                    Decision::Published(Box::new(result(status)))
                );
            }
        }
    }

    #[test]
    fn a_task_that_ended_without_a_result_is_lost_after_the_delay() {
        let state = JobState::Ended("COMPLETED");
        let observation = JobObservation::State(&state);
        assert_eq!(
            reconcile(observation, None, Duration::ZERO),
            Decision::InProgress
        );
        assert_eq!(
            reconcile(observation, None, RESULT_DELAY),
            Decision::Lost(Some("COMPLETED"))
        );
        assert_eq!(
            reconcile(JobObservation::Forgotten, None, RESULT_DELAY),
            Decision::Lost(None)
        );
    }

    #[test]
    fn silence_and_unknown_states_decide_nothing() {
        let long = Duration::from_secs(1_000_000);
        let unknown = JobState::Unknown("COMPLETED_WITH_GLEE".to_owned());
        for observation in [JobObservation::Unreachable, JobObservation::State(&unknown)] {
            assert_eq!(reconcile(observation, None, long), Decision::InProgress);
        }
    }

    proptest! {
        #[test]
        fn no_state_alone_is_ever_a_success(word in "\\PC{0,20}", seconds in 0..1000_u64) {
            let state = JobState::parse(&word);
            let observation = JobObservation::State(&state);
            let decision = reconcile(observation, None, Duration::from_secs(seconds));
            prop_assert!(!matches!(decision, Decision::Published(_)));
        }
    }
}
