//! Supervises the process of an attempt.
//!
//! Every attempt leads a process group of its own, so that a signal reaches what its cells start as
//! well, and Ctrl-C in the terminal reaches the runner alone. [`supervise`] is the only place that
//! ends such a group: `offmodel run`, the local executor and the attempt on a Slurm node all call it,
//! each with its own source of stop requests.

mod group;
mod signals;
mod supervise;

pub use group::ProcessGroup;
pub use signals::StopSignals;
pub use supervise::GRACE_PERIOD;
pub(super) use supervise::{Limits, StopRequest, StopRequests, supervise};
