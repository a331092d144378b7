//! Command lines of cells (`:vars`, `?name`): their texts, and the code that they run.

use offmodel_events::{CellError, Event, MimeBundle};

use crate::notebook::NotebookVariables;

/// The output of `:help`.
pub(crate) const HELP: &str = "\
A cell is Rust; its last expression, without a semicolon, is shown.
  :vars     the variables of the session, their types and sizes
  :time     how long this cell takes to compile and to run
  :timing   the same for every cell, until it is entered again
  :dep      adds a crate: `:dep NAME`, `:dep NAME@1.2`, or a line of a Cargo manifest
  :clear    drops all variables; functions and types stay
  :help     this text
  ?name     documentation of a name";

/// The code that shows the table of `:vars`; none if there are no variables.
pub(crate) fn show_variables_code(variables: &NotebookVariables) -> Option<String> {
    let known: Vec<String> = variables
        .iter()
        .map(|(name, variable)| format!("({name:?}, {:?})", variable.short_type()))
        .collect();
    (!known.is_empty()).then(|| format!("offmodel::live::variables(&[{}])?", known.join(", ")))
}

/// The code that removes the values of variables from the store.
pub(crate) fn forget_code(names: &[String]) -> String {
    format!("offmodel::live::forget(&{names:?});")
}

/// The output of `:time`, from the seconds of the whole cell and of its run alone.
pub(crate) fn timing(total: f64, run: f64) -> Event {
    let compiled = total - run;
    display_text(format!(
        "{total:.2} s: compiled in {compiled:.2} s, ran for {run:.3} s"
    ))
}

/// The error of a command that does not exist.
pub(crate) fn unknown_command(name: &str, line: usize) -> CellError {
    let value = format!("there is no command :{name}; :help lists them");
    let message = format!("line {line}: there is no command :{name}");
    CellError::new("unknown command", value)
        .with_traceback([message, HELP.to_owned()])
        .at_line(line)
}

/// A text as output of the cell.
pub(crate) fn display_text(text: impl Into<String>) -> Event {
    Event::Display {
        data: MimeBundle::text(text.into()),
        display_id: None,
    }
}
