//! What became of a task: a decision without effects.

use std::time::Duration;

use super::answers::JobState;
use crate::store::AttemptResult;

/// How long a result may still be on its way from a node's disk after Slurm said that the task is
/// over.
pub const LATE: Duration = Duration::from_secs(3);

/// What Slurm said about a task when it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// Nobody answered.
    Nothing,
    /// Slurm answered, and does not know the task (any more).
    Gone,
    /// A state.
    State(&'a JobState),
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Not known yet.
    Open,
    /// It published a result, which outranks whatever Slurm says.
    Published(AttemptResult),
    /// It is over and left no result; Slurm's word for how it ended, where there is one.
    Lost(Option<&'static str>),
}

/// Decides. `over_for` is how long Slurm has been saying that the task is over.
pub fn judge(seen: Seen<'_>, result: Option<AttemptResult>, over_for: Duration) -> Verdict {
    if let Some(result) = result {
        return Verdict::Published(result);
    }
    match seen {
        _ if over_for < LATE => Verdict::Open,
        Seen::State(JobState::Ended(word)) => Verdict::Lost(Some(word)),
        Seen::Gone => Verdict::Lost(None),
        Seen::Nothing | Seen::State(_) => Verdict::Open,
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
    fn our_own_result_outranks_slurms_word() {
        for status in [Status::Succeeded, Status::Failed] {
            for word in ["FAILED", "NODE_FAIL", "COMPLETED"] {
                let state = JobState::Ended(word);
                assert_eq!(
                    judge(Seen::State(&state), Some(result(status)), Duration::ZERO),
                    Verdict::Published(result(status))
                );
            }
        }
    }

    #[test]
    fn a_task_that_completed_without_a_result_is_lost() {
        let state = JobState::Ended("COMPLETED");
        assert_eq!(
            judge(Seen::State(&state), None, Duration::ZERO),
            Verdict::Open
        );
        assert_eq!(
            judge(Seen::State(&state), None, LATE),
            Verdict::Lost(Some("COMPLETED"))
        );
        assert_eq!(judge(Seen::Gone, None, LATE), Verdict::Lost(None));
    }

    #[test]
    fn silence_and_unknown_words_decide_nothing() {
        let for_ever = Duration::from_secs(1_000_000);
        let unknown = JobState::Unknown("COMPLETED_WITH_GLEE".to_owned());
        assert_eq!(judge(Seen::Nothing, None, for_ever), Verdict::Open);
        assert_eq!(judge(Seen::State(&unknown), None, for_ever), Verdict::Open);
    }

    proptest! {
        #[test]
        fn no_state_alone_is_ever_a_success(word in "\\PC{0,20}", seconds in 0..1000_u64) {
            let state = JobState::parse(&word);
            let verdict = judge(Seen::State(&state), None, Duration::from_secs(seconds));
            prop_assert!(!matches!(verdict, Verdict::Published(_)));
        }
    }
}
