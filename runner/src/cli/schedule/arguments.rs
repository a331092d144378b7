use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::schedule::{LedgerFile, Missed, ScheduleError};

/// Commands of `offmodel schedule`.
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Run a sweep at appointed times from now on.
    Add(AddArguments),
    /// Show the schedules, what they wait for and how their last runs ended.
    List(StateArguments),
    /// Show when schedules run next.
    Next(NextArguments),
    /// Forget a schedule; a run that goes on is left alone.
    Remove(NamedArguments),
    /// Run what is due now, wait until it has ended, and end.
    Tick(TickArguments),
    /// Run what is due, whenever it is, until stopped.
    Daemon(DaemonArguments),
    /// Write systemd units that keep the schedules.
    Units(UnitsArguments),
}

/// Where schedules are kept, and how they are shown.
#[derive(Debug, Args)]
pub struct StateArguments {
    /// The folder that keeps schedules and logs [default: $OFFMODEL_STATE, else
    /// offmodel/schedules in the user's state folder].
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `offmodel schedule add`.
#[derive(Debug, Args)]
pub struct AddArguments {
    /// The sweep file (TOML).
    pub sweep: PathBuf,
    /// When: minute, hour, day of the month, month, weekday; or @hourly, @daily, @weekly.
    #[arg(long, value_name = "EXPRESSION")]
    pub cron: String,
    /// The IANA name of the time zone [default: the machine's].
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// What to call the schedule [default: the sweep file's name].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What becomes of occurrences that nobody was there for.
    #[arg(long, value_enum, default_value_t)]
    pub missed: Missed,
    /// Let a run begin while another one of this schedule goes on.
    #[arg(long)]
    pub overlap: bool,
    /// Put it in the place of a schedule of the same name.
    #[arg(long)]
    pub replace: bool,
    /// State and output.
    #[command(flatten)]
    pub state: StateArguments,
    /// Further arguments of `offmodel sweep`, such as `-- --workers 2`.
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<String>,
}

/// Arguments of `offmodel schedule next`.
#[derive(Debug, Args)]
pub struct NextArguments {
    /// The schedule; without it, all.
    pub name: Option<String>,
    /// How many occurrences to show.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub count: u16,
    /// State and output.
    #[command(flatten)]
    pub state: StateArguments,
}

/// Arguments of `offmodel schedule remove`.
#[derive(Debug, Args)]
pub struct NamedArguments {
    /// The schedule.
    pub name: String,
    /// State and output.
    #[command(flatten)]
    pub state: StateArguments,
}

/// Arguments of `offmodel schedule tick`.
#[derive(Debug, Args)]
pub struct TickArguments {
    /// Look at this schedule alone; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// How many sweeps run at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub at_once: u16,
    /// State and output.
    #[command(flatten)]
    pub state: StateArguments,
}

/// Arguments of `offmodel schedule daemon`.
#[derive(Debug, Args)]
pub struct DaemonArguments {
    /// How many sweeps run at once; those beyond wait for their turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub at_once: u16,
    /// State and output.
    #[command(flatten)]
    pub state: StateArguments,
}

/// Arguments of `offmodel schedule units`.
#[derive(Debug, Args)]
pub struct UnitsArguments {
    /// Only for this schedule.
    pub name: Option<String>,
    /// One service for the daemon, which keeps all schedules, instead of a timer for each.
    #[arg(long, conflicts_with = "name")]
    pub daemon: bool,
    /// Write them into this folder, such as ~/.config/systemd/user; without it, they are printed.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// State and output.
    #[command(flatten)]
    pub state: StateArguments,
}

impl StateArguments {
    /// The ledger that they mean.
    pub(super) fn ledger(&self) -> Result<LedgerFile, ScheduleError> {
        match &self.state {
            Some(folder) => {
                let absolute = std::path::absolute(folder);
                let absolute = absolute.map_err(|source| ScheduleError::Write {
                    path: folder.clone(),
                    source,
                })?;
                Ok(LedgerFile::new(absolute))
            }
            None => LedgerFile::of_user(),
        }
    }
}
