//! Sweeps that run on a schedule.
//!
//! A [`Schedule`] is a sweep file with a cron expression and a time zone, its [`Recurrence`]. The
//! hard part is to run every occurrence once, although machines sleep, clocks jump, runs take longer
//! than a night, and several schedulers may share the same schedules:
//!
//! - [`ScheduleStore`] holds all schedules and their progress in one file, changed under a lock;
//! - [`catch_up`], a pure function, decides every occurrence up to now that is not yet decided;
//! - [`Scheduler::tick`] applies it to all schedules, starts what is pending, and records how runs
//!   ended, as a list of [`ScheduleEvent`]s;
//! - [`Clock`] and [`Launcher`] are its only view of the world, so that tests can replace both;
//! - [`units`] writes systemd units that call the scheduler.
//!
//! `runner/README.md` is the reference for users: which occurrences run, and what happens when the
//! clock changes.

mod calendar;
mod catch_up;
mod clock;
mod error;
mod launcher;
mod process;
mod record;
mod recurrence;
mod scheduler;
mod store;
pub mod units;

pub use catch_up::{CatchUp, GRACE_PERIOD, catch_up};
pub use clock::{Clock, SystemClock};
pub use error::ScheduleError;
pub use launcher::{LaunchedSweep, Launcher, SweepLauncher};
pub use process::ProcessIdentity;
pub use record::{
    ActiveRun, FinishedRun, MissedPolicy, PendingRun, RunOutcome, SCHEDULES_VERSION, Schedule,
    ScheduleEntry, ScheduleTable,
};
pub use recurrence::Recurrence;
pub use scheduler::{ScheduleEvent, ScheduleEventKind, Scheduler};
pub use store::ScheduleStore;
