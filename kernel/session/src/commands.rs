//! Lines of a cell that are for the session, not for the compiler: `:vars`, `?name`.

use offmodel_cells::Command;
use offmodel_events::{CellError, Event, MimeBundle};

use crate::failures::unknown_command;
use crate::listener::Listener;
use crate::session::Session;

/// What `:help` shows.
pub(crate) const HELP: &str = "\
A cell is Rust; its last expression, without a semicolon, is shown.
  :vars     the variables of the session, their types and sizes
  :time     how long this cell takes to compile and to run
  :timing   the same for every cell, until asked again
  :dep      a further crate: `:dep NAME`, `:dep NAME@1.2`, or a line of a Cargo manifest
  :clear    drops all variables; functions and types stay
  :help     this text
  ?name     what a name is";

impl Session {
    /// Runs one command of cell `execution`.
    pub(crate) fn run_command(
        &mut self,
        command: &Command,
        execution: usize,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        match command.name.as_str() {
            "help" => listener.event(text(HELP)),
            "dep" => return self.add_crate(command, listener),
            "vars" => return self.show_variables(execution, listener),
            // It is for the whole cell, wherever it stands.
            "time" => {}
            "timing" => {
                self.timing = !self.timing;
                let state = if self.timing { "on" } else { "off" };
                listener.event(text(format!("timing is {state}")));
            }
            "clear" => return self.clear(execution, listener),
            "?" => {
                let unknown =
                    || MimeBundle::text(format!("{} is not defined here", command.arguments));
                let data = self
                    .inspect(&command.arguments, command.arguments.len())
                    .unwrap_or_else(unknown);
                listener.event(Event::Display {
                    data,
                    display_id: None,
                });
            }
            other => return Err(unknown_command(other, command.line)),
        }
        Ok(())
    }

    fn show_variables(
        &mut self,
        execution: usize,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        let known: Vec<String> = self
            .state
            .variables()
            .map(|(name, variable)| format!("({name:?}, {:?})", variable.short_type()))
            .collect();
        if known.is_empty() {
            listener.event(text("there are no variables yet"));
            return Ok(());
        }
        let code = format!("offmodel::live::variables(&[{}])?", known.join(", "));
        self.run_own(&code, execution, listener)
    }

    fn clear(&mut self, execution: usize, listener: &mut dyn Listener) -> Result<(), CellError> {
        let names = self.state.lose_all(":clear dropped it");
        self.run_own(
            &format!("offmodel::live::forget(&{names:?});"),
            execution,
            listener,
        )
    }

    /// Runs a cell of the session's own making.
    fn run_own(
        &mut self,
        code: &str,
        execution: usize,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        match offmodel_cells::parse(code) {
            Ok(cell) => self.run_parsed(&cell, execution, listener),
            Err(error) => Err(crate::failures::parse_failure(code, &error)),
        }
    }
}

/// How long a cell took, and how much of that it ran, in seconds.
pub(crate) fn times(total: f64, ran: f64) -> Event {
    let compiled = total - ran;
    text(format!(
        "{total:.2} s: compiled in {compiled:.2} s, ran for {ran:.3} s"
    ))
}

pub(crate) fn text(text: impl Into<String>) -> Event {
    Event::Display {
        data: MimeBundle::text(text.into()),
        display_id: None,
    }
}
