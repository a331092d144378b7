//! Sweeps at appointed times.
//!
//! A schedule is a sweep file, a cron expression and a time zone:
//!
//! ```text
//! offmodel schedule add nightly.toml --cron "30 2 * * *" --timezone Europe/Berlin
//! offmodel schedule daemon          # or: offmodel schedule units, for systemd
//! ```
//!
//! **Which occurrences run.** Those up to now are *settled* one time only, however often and by
//! whom it is looked at. On time is what is at most ten minutes late; for everything else, which
//! nobody looked at because the machine slept or an earlier run took too long, the policy
//! decides: `run-once` (the default) runs the latest of them, `skip` none, `all` each of them.
//! No run of a schedule begins before the last one ended, unless it was added with `--overlap`.
//!
//! **When the clock changes.** A fixed time that the spring day leaves out (02:30 in most of
//! Europe) runs at the first moment after the gap, one that the autumn day has twice runs the
//! first time; expressions with `*` in hour or minute follow the real hours, as Vixie cron has
//! it. When the clock is set back, settled occurrences do not run again; when it is set back by
//! more than a day, it had been wrong before, and the schedule goes on from the present.
//!
//! **What a run is.** `offmodel sweep` with its output in a log. Trials that are done are
//! skipped, so a nightly run of one sweep does what is new: a longer grid, a changed notebook.
//! For the same measurement every night, the sweep file says `name = "nightly-{date}"`: the
//! date is the one of the occurrence in the schedule's time zone, so that each night has its
//! folder and `offmodel compare` sets two nights side by side. A run that was stopped by a
//! shutdown or died with its scheduler goes on in the same folder when the scheduler is back; a
//! sweep that fails is recorded, and the next occurrence comes as if it had not.
//!
//! - [`Timetable`]: cron expression and time zone, and the occurrences that they make;
//! - [`settle`]: which occurrences are due, free of any effect;
//! - [`Ledger`]: schedules and their progress on disk;
//! - [`Conductor`]: one turn of settling, starting and looking after runs;
//! - [`Clock`] and [`Launcher`]: what it touches the world through;
//! - [`units`]: the same for systemd.

mod clock;
mod conductor;
mod error;
mod launcher;
mod ledger;
mod settle;
mod timetable;
pub mod units;

pub use clock::{Clock, SystemClock};
pub use conductor::{Conductor, News, Said};
pub use error::ScheduleError;
pub use launcher::{Launched, Launcher, SweepLauncher};
pub use ledger::{
    Entry, LEDGER_VERSION, Ledger, LedgerFile, Missed, Outcome, Process, Run, Running, Schedule,
    Waiting,
};
pub use settle::{GRACE, Settled, settle};
pub use timetable::Timetable;
