//! `offmodel schedule`.

mod add;
mod arguments;
mod list;
mod run;
mod units;

pub use arguments::ScheduleCommand;
use arguments::{
    AddArguments, DaemonArguments, NamedArguments, NextArguments, StateArguments, TickArguments,
    UnitsArguments,
};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::error::RunnerError;
use crate::exit_code::ExitCode;

/// Runs a command of `offmodel schedule`.
pub(super) fn schedule(command: &ScheduleCommand) -> Result<ExitCode, RunnerError> {
    match command {
        ScheduleCommand::Add(arguments) => add::add(arguments),
        ScheduleCommand::List(arguments) => list::list(arguments),
        ScheduleCommand::Next(arguments) => list::next(arguments),
        ScheduleCommand::Remove(arguments) => add::remove(arguments),
        ScheduleCommand::Tick(arguments) => run::tick(arguments),
        ScheduleCommand::Daemon(arguments) => run::daemon(arguments),
        ScheduleCommand::Units(arguments) => units::units(arguments),
    }
}

/// An instant in UTC, in RFC 3339 with whole seconds.
fn utc_text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}
