//! The type of an expression in a cell that is still being written.

use crate::cursor::Before;
use crate::environment::Environment;
use crate::notebook_state::NotebookState;
use crate::probe::{compile, told_type};

/// The type of `receiver`, which starts at a byte of the cell, as the compiler tells it: the cell
/// up to there, with the question in the place of the expression and all brackets closed.
///
/// `None` when the compiler cannot say, most often because the text before has an error.
pub(crate) fn expression_type(
    before: &Before,
    receiver: &str,
    start: usize,
    state: &NotebookState,
    environment: &Environment,
) -> Option<String> {
    let written = offmodel_cells::without_commands(&before.text()[..start]);
    let cell = format!(
        "{written}{{\nlet () =\n{receiver}\n; loop {{}} }}{};",
        before.closers(start)
    );
    let mut text = String::from("#![allow(warnings)]\nuse offmodel::prelude::*;\n");
    for item in state.items() {
        text.push_str(&item.code);
        text.push('\n');
    }
    text.push_str("async fn __cell(");
    for (name, variable) in state.mentioned_in(&cell) {
        text.push_str(&format!("mut {name}: {},", variable.type_name));
    }
    text.push_str(") -> std::result::Result<(), offmodel::live::Raised> {\n");
    let question = text.matches('\n').count() + written.matches('\n').count() + 2;
    text.push_str(&cell);
    text.push_str("\nOk(()) }");
    compile(&text, environment)
        .ok()?
        .iter()
        .filter(|error| error.primary().is_some_and(|at| at.line_start == question))
        .find_map(told_type)
}
