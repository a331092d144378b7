//! Attempts on this machine.
//!
//! - [`executor`]: the [`Executor`](super::Executor) that the dispatcher sees;
//! - [`attempt`]: the life of one attempt as a state machine of its own;
//! - [`fork_server`]: the process that has the compiled notebook loaded and forks one process for
//!   every attempt;
//! - [`slots`]: the shares of the machine's cores and GPUs, one for each attempt at a time.

mod attempt;
mod executor;
mod fork_server;
mod slots;

pub use executor::{LocalExecutor, LocalSweep};
pub use fork_server::{ExecutorError, ForkServer};
pub use slots::{Allocation, Cores, SlotPlan, Slots, own_cores, own_gpus};
