//! rustc's messages as JSON.

use serde::Deserialize;

/// The fields used here of one message of `rustc --error-format=json`: see "JSON Output" in the
/// rustc book.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Diagnostic {
    pub message: String,
    pub code: Option<ErrorCode>,
    pub level: String,
    pub spans: Vec<Span>,
    pub children: Vec<Note>,
    pub rendered: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ErrorCode {
    pub code: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Span {
    /// From 1.
    pub line_start: usize,
    /// In characters, from 1.
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
    /// The spans of the message and its notes.
    pub(crate) fn all_spans(&self) -> impl Iterator<Item = &Span> {
        let notes = self.children.iter().flat_map(|note| &note.spans);
        self.spans.iter().chain(notes)
    }

    /// Whether the message is an error. The summary "aborting due to 2 previous errors", which has
    /// no span, is none.
    pub(crate) fn is_error(&self) -> bool {
        self.level.starts_with("error") && !self.spans.is_empty()
    }

    /// The error code: `E0382`.
    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_ref().map(|code| code.code.as_str())
    }

    /// The span that the message is mainly about.
    pub(crate) fn primary(&self) -> Option<&Span> {
        self.spans.iter().find(|span| span.is_primary)
    }
}

/// The messages in rustc's standard error. Lines that are not JSON are ignored.
pub(super) fn parse(stderr: &[u8]) -> Vec<Diagnostic> {
    String::from_utf8_lossy(stderr)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
