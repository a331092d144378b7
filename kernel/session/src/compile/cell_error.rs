//! rustc's errors as the error of a cell.

use offmodel_cells::generated::GeneratedCode;
use offmodel_cells::rendering::{CellPosition, SourceMap, headline, render_in_cells};
use offmodel_events::CellError;

use super::diagnostics::Diagnostic;
use super::rustc::FILE;
use crate::notebook::NotebookVariables;

/// The error of the cell `execution`, which does not compile. Every message is rendered with lines
/// and columns of cells.
pub(crate) fn cell_error<L>(
    errors: &[Diagnostic],
    code: &GeneratedCode<L>,
    execution: usize,
    variables: &NotebookVariables,
) -> CellError {
    let position = errors.iter().find_map(|error| {
        let span = error.primary()?;
        code.position(span.line_start, span.column_start)
            .filter(|position| position.cell == execution)
    });
    let message = errors
        .first()
        .map_or("the cell does not compile", |error| &error.message);
    let value = match position {
        Some(CellPosition { line, column, .. }) => headline(message, line, column),
        None => message.to_owned(),
    };
    let traceback = errors.iter().map(|error| render(error, code, variables));
    let error = CellError::new("compile error", value).with_traceback(traceback);
    match position {
        Some(position) => error.at_line(position.line),
        None => error,
    }
}

fn render<L>(error: &Diagnostic, code: &GeneratedCode<L>, variables: &NotebookVariables) -> String {
    let rendered = error.rendered.as_deref().unwrap_or(&error.message);
    let mut text = render_in_cells(rendered, FILE, code);
    if let Some((name, reason)) = dropped_variable(error, variables) {
        text.push_str(&format!(
            "\n\u{1b}[1mnote\u{1b}[0m: `{name}` is not available: {reason}"
        ));
    }
    text
}

/// The variable in "cannot find value `x` in this scope", if it was dropped, with the reason.
fn dropped_variable<'a>(
    error: &'a Diagnostic,
    variables: &'a NotebookVariables,
) -> Option<(&'a str, &'a str)> {
    let name = (error.code() == Some("E0425")).then(|| error.message.split('`').nth(1))??;
    Some((name, variables.drop_reason(name)?))
}
