//! The type of an expression in a cell that is still being typed.

use super::context::CompletionContext;
use super::cursor::TextBeforeCursor;
use crate::compile::{compile_to_metadata, type_in_message};

/// The type of `receiver`, an expression that starts at the byte `start` of the cell; none if rustc
/// cannot determine it, most often because the text before it has an error.
///
/// rustc compiles the cell up to the expression, then `let () =` the expression, with all open
/// brackets closed. Its error states the type.
pub(super) fn expression_type(
    context: CompletionContext,
    before: &TextBeforeCursor,
    receiver: &str,
    start: usize,
) -> Option<String> {
    let written = offmodel_cells::without_commands(&before.text()[..start]);
    let cell = format!(
        "{written}{{\nlet () =\n{receiver}\n; loop {{}} }}{};",
        before.closing_brackets(start)
    );
    let mut source = String::from("#![allow(warnings)]\nuse offmodel::prelude::*;\n");
    source.push_str(&context.notebook.definitions().source());
    source.push_str("async fn __cell(");
    for (name, variable) in context.notebook.variables().mentioned_in(&cell) {
        source.push_str(&format!("mut {name}: {},", variable.type_name));
    }
    source.push_str(") -> std::result::Result<(), offmodel::live::Raised> {\n");
    // The line of `let () =`: the one after the text that the user has written.
    let line = source.matches('\n').count() + written.matches('\n').count() + 2;
    source.push_str(&cell);
    source.push_str("\nOk(()) }");
    compile_to_metadata(&source, context.environment)
        .ok()?
        .iter()
        .filter(|error| error.primary().is_some_and(|span| span.line_start == line))
        .find_map(type_in_message)
}
