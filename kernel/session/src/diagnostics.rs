//! rustc's messages, told in lines of the cell.

use offmodel_events::CellError;
use serde::Deserialize;

use crate::notebook_state::NotebookState;
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
    pub line_end: usize,
    pub column_end: usize,
    pub is_primary: bool,
    pub label: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Note {
    pub message: String,
    pub level: String,
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

/// One error for a cell that does not compile, with every message rendered in its own lines.
pub(crate) fn cell_error(
    errors: &[Diagnostic],
    source: &Source,
    cell_text: &str,
    state: &NotebookState,
) -> CellError {
    let place = errors
        .iter()
        .find_map(|error| cell_place(error.primary()?, source));
    let message = errors
        .first()
        .map_or("the cell does not compile", |error| &error.message);
    let value = match place {
        Some((line, column)) => format!("{message} (line {line}, column {column})"),
        None => message.to_owned(),
    };
    let traceback = errors
        .iter()
        .map(|error| render(error, source, cell_text, state))
        .collect();
    CellError {
        name: "compile error".to_owned(),
        value,
        traceback,
        line: place.map(|(line, _)| line),
    }
}

fn cell_place(span: &Span, source: &Source) -> Option<(usize, usize)> {
    match source.origin(span.line_start) {
        Origin::Cell { line, shift, by } => {
            let column = span.column_start;
            Some((
                *line,
                if column > *shift {
                    column.saturating_sub(*by).max(1)
                } else {
                    column
                },
            ))
        }
        _ => None,
    }
}

const RED: &str = "\u{1b}[1;31m";
const BLUE: &str = "\u{1b}[1;34m";
const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

/// A message as rustc shows it, in lines and columns of the cell.
fn render(error: &Diagnostic, source: &Source, cell_text: &str, state: &NotebookState) -> String {
    let code = error
        .code()
        .map(|code| format!("[{code}]"))
        .unwrap_or_default();
    let mut text = format!("{RED}error{code}{PLAIN}{BOLD}: {}{PLAIN}", error.message);
    let mut places: Vec<_> = error
        .spans
        .iter()
        .filter_map(|span| Some((span, cell_place(span, source)?)))
        .collect();
    places.sort_by_key(|(span, place)| (!span.is_primary, *place));
    for (index, (span, (line, column))) in places.iter().enumerate() {
        if index == 0 {
            text.push_str(&format!("\n {BLUE}-->{PLAIN} cell:{line}:{column}"));
        }
        let shown = cell_text.lines().nth(line - 1).unwrap_or_default();
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        // What goes on in further lines is marked to the end of its first.
        let width = if span.line_end == span.line_start {
            span.column_end.saturating_sub(span.column_start)
        } else {
            shown.chars().count().saturating_sub(column - 1)
        };
        let (color, mark) = if span.is_primary {
            (RED, "^")
        } else {
            (BLUE, "-")
        };
        let marker = format!("{color}{}", mark.repeat(width.max(1)));
        let label = span.label.as_deref().unwrap_or_default();
        text.push_str(&format!(
            "\n{BLUE}{margin} |\n{number} |{PLAIN} {shown}\n{BLUE}{margin} |{PLAIN} {}{marker} {label}{PLAIN}",
            " ".repeat(column - 1),
        ));
    }
    if places.is_empty()
        && let Some(rendered) = &error.rendered
    {
        text.push('\n');
        text.push_str(rendered.trim_end());
    }
    for note in &error.children {
        text.push_str(&format!("\n{BOLD}{}{PLAIN}: {}", note.level, note.message));
    }
    if let Some((name, reason)) = lost_variable(error, state) {
        text.push_str(&format!(
            "\n{BOLD}note{PLAIN}: `{name}` is not there: {reason}"
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
