//! rustc's messages, told in lines of cells.

use offmodel_cells::rendering::{Origins, in_cells};
use serde::Deserialize;

use crate::generate::FILE;
use crate::source::Source;

/// One error of the compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellDiagnostic {
    /// The cell's number.
    pub cell: usize,
    /// Line in the cell, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The error's code, such as `E0425`; errors of the parser have none.
    pub code: Option<String>,
    /// rustc's headline.
    pub message: String,
    /// rustc's rendering, with places in cells.
    pub rendered: String,
}

/// What the compiler said.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    /// Errors with a place in a cell, in the order in which the compiler told them.
    pub in_cells: Vec<CellDiagnostic>,
    /// Renderings of all other errors, and lines that are no messages.
    pub elsewhere: Vec<String>,
    /// Whether the compiler complained about something else before any cell: a prelude that
    /// cannot be loaded leaves every name in every cell unknown.
    pub began_elsewhere: bool,
}

/// Reads the standard error of `rustc --error-format=json`.
pub(crate) fn read(stderr: &[u8], source: &Source) -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    for line in String::from_utf8_lossy(stderr).lines() {
        let Ok(message) = serde_json::from_str::<Message>(line) else {
            diagnostics.elsewhere.push(line.to_owned());
            continue;
        };
        if !message.level.starts_with("error") || message.is_summary() {
            continue;
        }
        let rendered = in_cells(
            message.rendered.as_deref().unwrap_or(&message.message),
            FILE,
            source,
        );
        // The first place counts among several; code of ours may be the primary one.
        let place = message
            .spans
            .iter()
            .filter(|span| span.is_primary)
            .chain(&message.spans)
            .find_map(|span| source.place(span.line_start, span.column_start));
        match place {
            Some(place) => diagnostics.in_cells.push(CellDiagnostic {
                cell: place.cell,
                line: place.line,
                column: place.column,
                code: message.code.map(|code| code.code),
                message: message.message,
                rendered,
            }),
            None => {
                diagnostics.began_elsewhere |= diagnostics.in_cells.is_empty();
                diagnostics.elsewhere.push(rendered);
            }
        }
    }
    diagnostics
}

/// One message; of the fields only those used here.
#[derive(Debug, Deserialize)]
struct Message {
    message: String,
    code: Option<Code>,
    level: String,
    spans: Vec<Span>,
    rendered: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Code {
    code: String,
}

#[derive(Debug, Deserialize)]
struct Span {
    line_start: usize,
    column_start: usize,
    is_primary: bool,
}

impl Message {
    /// "aborting due to 2 previous errors", "For more information about this error, ...".
    fn is_summary(&self) -> bool {
        self.spans.is_empty() && self.message.starts_with("aborting due to")
    }
}
