//! rustc's messages, told in lines of the cell.

use offmodel_cells::rendering::{Origins, Place, headline, in_cells};
use offmodel_events::CellError;
use serde::Deserialize;

use crate::generate::SHOW;
use crate::notebook_state::NotebookState;
use crate::probe::{FILE, SHOWN};
use crate::source::{Origin, Source};

/// One message of `rustc --error-format=json`; of the fields only those used here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Diagnostic {
    pub message: String,
    pub code: Option<Code>,
    pub level: String,
    pub spans: Vec<Span>,
    pub children: Vec<Note>,
    pub rendered: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Code {
    pub code: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Span {
    pub line_start: usize,
    pub column_start: usize,
    pub is_primary: bool,
    pub label: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Note {
    #[serde(default)]
    pub spans: Vec<Span>,
}

impl Diagnostic {
    /// Every place that the message or one of its notes points to.
    pub fn places(&self) -> impl Iterator<Item = &Span> {
        let notes = self.children.iter().flat_map(|note| &note.spans);
        self.spans.iter().chain(notes)
    }

    pub fn is_error(&self) -> bool {
        // The summary ("aborting due to 2 previous errors") has no span and no code.
        self.level.starts_with("error") && !self.spans.is_empty()
    }

    pub fn code(&self) -> Option<&str> {
        self.code.as_ref().map(|code| code.code.as_str())
    }

    pub fn primary(&self) -> Option<&Span> {
        self.spans.iter().find(|span| span.is_primary)
    }
}

/// The messages in rustc's standard error; other lines are dropped.
pub(crate) fn parse(stderr: &[u8]) -> Vec<Diagnostic> {
    String::from_utf8_lossy(stderr)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The file that was compiled for a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CellFile<'a> {
    pub source: &'a Source,
    /// The cell as the user wrote it.
    pub cell: &'a str,
    pub execution: usize,
}

impl Origins for CellFile<'_> {
    fn place(&self, line: usize, column: usize) -> Option<Place> {
        match *self.source.origin(line) {
            Origin::Cell { line, shift, by } => Some(Place {
                cell: self.execution,
                line,
                column: if column > shift {
                    column.saturating_sub(by).max(1)
                } else {
                    column
                },
            }),
            Origin::EarlierCell { execution, line } => Some(Place {
                cell: execution,
                line,
                column,
            }),
            _ => None,
        }
    }

    fn original_line(&self, line: usize) -> Option<&str> {
        match self.source.origin(line) {
            Origin::Cell { line, .. } => self.cell.lines().nth(line - 1),
            Origin::Taken { declaration } => Some(declaration),
            _ => None,
        }
    }

    fn inserted(&self) -> &[&str] {
        &[SHOW, SHOWN]
    }
}

/// One error for a cell that does not compile, with every message rendered in its own lines.
pub(crate) fn cell_error(
    errors: &[Diagnostic],
    file: &CellFile<'_>,
    state: &NotebookState,
) -> CellError {
    let place = errors.iter().find_map(|error| {
        let span = error.primary()?;
        file.place(span.line_start, span.column_start)
            .filter(|place| place.cell == file.execution)
    });
    let message = errors
        .first()
        .map_or("the cell does not compile", |error| &error.message);
    let value = match place {
        Some(Place { line, column, .. }) => headline(message, line, column),
        None => message.to_owned(),
    };
    let traceback = errors.iter().map(|error| render(error, file, state));
    CellError::new("compile error", value)
        .with_traceback(traceback)
        .at_line(place.map(|place| place.line))
}

/// A message as rustc shows it, in lines and columns of the cell.
fn render(error: &Diagnostic, file: &CellFile<'_>, state: &NotebookState) -> String {
    let rendered = error.rendered.as_deref().unwrap_or(&error.message);
    let mut text = in_cells(rendered, FILE, file);
    if let Some((name, reason)) = lost_variable(error, state) {
        text.push_str(&format!(
            "\n\u{1b}[1mnote\u{1b}[0m: `{name}` is not there: {reason}"
        ));
    }
    text
}

/// The name in "cannot find value `x` in this scope", if an earlier cell had it.
fn lost_variable<'a>(
    error: &'a Diagnostic,
    state: &'a NotebookState,
) -> Option<(&'a str, &'a str)> {
    let name = (error.code() == Some("E0425")).then(|| error.message.split('`').nth(1))??;
    Some((name, state.why_lost(name)?))
}
