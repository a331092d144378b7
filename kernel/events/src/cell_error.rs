use serde::{Deserialize, Serialize};

/// Why a cell failed, in the terms of a Jupyter error reply: `ename`, `evalue` and `traceback`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CellError {
    /// The kind: `panic`, `compile error`, `Interrupted`, or the type of the error behind `?`.
    pub name: String,
    /// The message.
    pub value: String,
    /// Lines to show, coloured with ANSI sequences where that helps.
    pub traceback: Vec<String>,
    /// The line within the cell, from 1, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl CellError {
    /// An error at no known line, whose traceback is its message.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        let value = value.into();
        Self {
            name: name.into(),
            traceback: vec![value.clone()],
            value,
            line: None,
        }
    }

    /// Replaces the traceback.
    #[must_use]
    pub fn with_traceback(mut self, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.traceback = lines.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the line within the cell, from 1, or none if it is unknown.
    #[must_use]
    pub fn at_line(mut self, line: impl Into<Option<usize>>) -> Self {
        self.line = line.into();
        self
    }
}

impl std::fmt::Display for CellError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.name, self.value)
    }
}
