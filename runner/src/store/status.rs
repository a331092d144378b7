//! The status of a trial, in the one spelling that records, tables and commands share.

use serde::{Deserialize, Serialize};

use super::AttemptResult;

/// The status of a trial.
///
/// Attempts are recorded with a [final](Self::is_final) status only. `New` and `Unfinished` follow
/// from the trial's folder, `Waiting` and `Running` from Slurm or from the runner at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialStatus {
    /// The trial has no attempt.
    New,
    /// The job of the next attempt waits in Slurm.
    Waiting,
    /// An attempt runs.
    Running,
    /// The last attempt has no result: it runs, or it was interrupted.
    Unfinished,
    /// Every cell ran.
    Succeeded,
    /// A cell failed, or the attempt ended early.
    Failed,
    /// A user cancelled the trial.
    Cancelled,
}

impl TrialStatus {
    /// Whether an attempt ends with this status. A later attempt may still change it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl std::fmt::Display for TrialStatus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::New => "new",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Unfinished => "unfinished",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// The status of a trial with the result that decides it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialSummary {
    /// The highest number of an attempt; 0 if there is none.
    pub attempts: usize,
    /// The status that follows from the trial's folder.
    pub status: TrialStatus,
    /// The result that decides a final status; none for `New` and `Unfinished`.
    pub result: Option<AttemptResult>,
}

impl TrialSummary {
    /// Whether the status is that of a published result.
    pub fn is_finished(&self) -> bool {
        self.status.is_final()
    }

    /// The result of the attempt that succeeded.
    pub fn into_success(self) -> Option<AttemptResult> {
        self.result
            .filter(|result| result.status == TrialStatus::Succeeded)
    }
}

/// How many trials of a sweep have which final status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatusCounts {
    /// All trials.
    pub total: usize,
    /// Trials that succeeded.
    pub succeeded: usize,
    /// Trials that failed.
    pub failed: usize,
    /// Trials that were cancelled.
    pub cancelled: usize,
}

impl StatusCounts {
    /// Trials without a final status.
    pub fn left(&self) -> usize {
        self.total - self.succeeded - self.failed - self.cancelled
    }
}

impl FromIterator<TrialStatus> for StatusCounts {
    fn from_iter<I: IntoIterator<Item = TrialStatus>>(statuses: I) -> Self {
        let mut counts = Self::default();
        for status in statuses {
            counts.total += 1;
            match status {
                TrialStatus::Succeeded => counts.succeeded += 1,
                TrialStatus::Failed => counts.failed += 1,
                TrialStatus::Cancelled => counts.cancelled += 1,
                TrialStatus::New
                | TrialStatus::Waiting
                | TrialStatus::Running
                | TrialStatus::Unfinished => {}
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_displayed_as_it_is_serialized() {
        for (status, spelling) in [
            (TrialStatus::New, "new"),
            (TrialStatus::Waiting, "waiting"),
            (TrialStatus::Running, "running"),
            (TrialStatus::Unfinished, "unfinished"),
            (TrialStatus::Succeeded, "succeeded"),
            (TrialStatus::Failed, "failed"),
            (TrialStatus::Cancelled, "cancelled"),
        ] {
            assert_eq!(status.to_string(), spelling);
            assert_eq!(serde_json::to_value(status).unwrap(), spelling);
        }
    }

    #[test]
    fn trials_without_a_final_status_are_left() {
        let statuses = [
            TrialStatus::New,
            TrialStatus::Running,
            TrialStatus::Succeeded,
            TrialStatus::Failed,
            TrialStatus::Failed,
            TrialStatus::Cancelled,
        ];
        let counts: StatusCounts = statuses.into_iter().collect();
        assert_eq!((counts.succeeded, counts.failed), (1, 2));
        assert_eq!((counts.cancelled, counts.left()), (1, 2));
    }
}
