use tokio::sync::mpsc::UnboundedSender;

use super::{Step, Work};

/// Where executors send the steps of attempts, each with the attempt's index.
pub type Steps = UnboundedSender<(usize, Step)>;

/// Who makes attempts: this machine, or a cluster.
///
/// An attempt that was submitted ends with one [`Step::Done`], whatever becomes of it.
pub trait Executor: Send + Sync {
    /// How many attempts run at once, as far as that is ours to decide.
    fn workers(&self) -> usize;

    /// Makes an attempt, now or as soon as there is room for it.
    fn submit(&self, index: usize, work: Work, steps: &Steps);

    /// Cancels a trial that was submitted or will be: what runs is asked to stop, and then ended.
    fn cancel(&self, trial: &str);

    /// Makes an end; may be called several times.
    fn halt(&self, halt: Halt);
}

/// How far an end goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// Attempts that did not begin yet should not; the others go on.
    Withdrawn,
    /// Nothing new begins, and whatever runs is asked to stop or let go.
    Asked,
    /// Nobody waits any longer for those that were asked.
    Forced,
}
