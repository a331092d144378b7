//! The compiler's errors in lines of cells.

use offmodel_cells::generated::GeneratedCode;
use offmodel_cells::rendering::{SourceMap, render_in_cells};
use serde::Deserialize;

/// The name of the generated file, as it appears in rustc's messages. The runtime recognises it in
/// the locations of panics and of `?`.
pub(crate) const SOURCE_FILE: &str = "notebook.rs";

/// An error of the compiler in a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellDiagnostic {
    /// The cell's number.
    pub cell: usize,
    /// Line in the cell, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The error code, such as `E0425`; errors of rustc's parser have none.
    pub code: Option<String>,
    /// The first line of the message.
    pub message: String,
    /// The message as rustc renders it, with positions in cells.
    pub rendered: String,
}

/// All errors of one compiler call.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    /// Errors with a position in a cell, in the compiler's order.
    pub in_cells: Vec<CellDiagnostic>,
    /// All other errors as rendered, and lines that are not JSON.
    pub outside_cells: Vec<String>,
    /// Whether the first error is outside of cells. Then the errors in cells are only consequences:
    /// without a prelude, for example, every name in every cell is unknown.
    pub starts_outside_cells: bool,
}

/// Parses the standard error of `rustc --error-format=json`.
pub(crate) fn parse(stderr: &[u8], code: &GeneratedCode) -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    for line in String::from_utf8_lossy(stderr).lines() {
        let Ok(message) = serde_json::from_str::<RustcMessage>(line) else {
            diagnostics.outside_cells.push(line.to_owned());
            continue;
        };
        if !message.level.starts_with("error") || message.is_summary() {
            continue;
        }
        let text = message.rendered.as_deref().unwrap_or(&message.message);
        let rendered = render_in_cells(text, SOURCE_FILE, code);
        // The primary span may be in generated code; then another span may be in a cell.
        let position = message
            .spans
            .iter()
            .filter(|span| span.is_primary)
            .chain(&message.spans)
            .find_map(|span| code.position(span.line_start, span.column_start));
        match position {
            Some(position) => diagnostics.in_cells.push(CellDiagnostic {
                cell: position.cell,
                line: position.line,
                column: position.column,
                code: message.code.map(|code| code.code),
                message: message.message,
                rendered,
            }),
            None => {
                diagnostics.starts_outside_cells |= diagnostics.in_cells.is_empty();
                diagnostics.outside_cells.push(rendered);
            }
        }
    }
    diagnostics
}

/// The fields used here of a JSON message: see "JSON Output" in the rustc book.
#[derive(Debug, Deserialize)]
struct RustcMessage {
    message: String,
    code: Option<ErrorCode>,
    level: String,
    spans: Vec<Span>,
    rendered: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ErrorCode {
    code: String,
}

#[derive(Debug, Deserialize)]
struct Span {
    line_start: usize,
    column_start: usize,
    is_primary: bool,
}

impl RustcMessage {
    /// Whether the message only counts the others: "aborting due to 2 previous errors".
    fn is_summary(&self) -> bool {
        self.spans.is_empty() && self.message.starts_with("aborting due to")
    }
}
