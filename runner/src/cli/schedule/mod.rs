//! `offmodel schedule`: sweeps at appointed times.

mod add;
mod arguments;
mod conduct;
mod show;
mod units;

pub use arguments::{
    AddArguments, DaemonArguments, NamedArguments, NextArguments, ScheduleCommand, StateArguments,
    TickArguments, UnitsArguments,
};

use crate::error::RunnerError;
use crate::exit_code::ExitCode;

/// Runs a command of `offmodel schedule`.
pub(super) fn schedule(command: &ScheduleCommand) -> Result<ExitCode, RunnerError> {
    match command {
        ScheduleCommand::Add(arguments) => add::add(arguments),
        ScheduleCommand::List(arguments) => show::list(arguments),
        ScheduleCommand::Next(arguments) => show::next(arguments),
        ScheduleCommand::Remove(arguments) => add::remove(arguments),
        ScheduleCommand::Tick(arguments) => conduct::tick(arguments),
        ScheduleCommand::Daemon(arguments) => conduct::daemon(arguments),
        ScheduleCommand::Units(arguments) => units::units(arguments),
    }
}
