use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that a running cell says.
///
/// Serialised as one JSON object with the field `event` naming the variant. Readers skip
/// variants they do not know, so that a newer program can be read by an older runner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A cell begins. `cell` counts the notebook's code cells from 1 (live: the execution count).
    CellStarted {
        /// The cell's number.
        cell: usize,
    },
    /// Text written to standard output or standard error, as it came: possibly half a line.
    Stream {
        /// Which of the two.
        stream: Stream,
        /// The text; invalid UTF-8 is replaced.
        text: String,
    },
    /// Something to show.
    Display {
        /// The same thing in several formats, richest chosen by the reader.
        data: MimeBundle,
        /// Names the display for a later [`Event::UpdateDisplay`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display_id: Option<String>,
    },
    /// New content for an earlier display.
    UpdateDisplay {
        /// The new content.
        data: MimeBundle,
        /// The display it replaces.
        display_id: String,
    },
    /// The cell's output so far is to be cleared.
    ClearOutput {
        /// Wait for the next output before clearing, which avoids flicker.
        wait: bool,
    },
    /// The cell asks a question and waits for its [`Answer`](crate::ask::Answer).
    InputRequest {
        /// Names the question in its answer.
        id: String,
        /// The question.
        prompt: String,
        /// Whether what is typed is not to be shown.
        password: bool,
    },
    /// The value of the cell's last expression.
    Result {
        /// The value in several formats.
        data: MimeBundle,
    },
    /// The cell failed.
    Error {
        /// What happened and where.
        error: CellError,
    },
    /// A frame was recorded as a result of the trial.
    Recorded {
        /// The name it was recorded under.
        name: String,
        /// Its file, relative to the attempt's folder.
        file: String,
    },
    /// A variable of a live session holds a frame with these columns, for completion.
    Columns {
        /// The variable's name.
        variable: String,
        /// The columns, in order.
        columns: Vec<String>,
    },
    /// A cell ended, well or not.
    CellFinished {
        /// The cell's number.
        cell: usize,
        /// Wall-clock time in seconds.
        seconds: f64,
        /// Whether it ended without an error.
        succeeded: bool,
    },
}

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

/// One thing in several formats: a map from MIME type to content, as Jupyter has it.
///
/// Text formats hold a JSON string, binary ones (`image/png`) a base64 string.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MimeBundle(pub BTreeMap<String, Value>);

impl MimeBundle {
    /// A bundle with a plain-text form only.
    pub fn text(text: impl Into<String>) -> Self {
        Self::default().with("text/plain", text)
    }

    /// Adds one format.
    #[must_use]
    pub fn with(mut self, mime: &str, content: impl Into<String>) -> Self {
        self.0
            .insert(mime.to_owned(), Value::String(content.into()));
        self
    }

    /// The content in one format, if it is there as text.
    pub fn get(&self, mime: &str) -> Option<&str> {
        self.0.get(mime).and_then(Value::as_str)
    }
}

/// Why a cell failed, in the terms of a Jupyter error reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellError {
    /// The kind: `panic`, `compile error`, `interrupted`, or the type of the error behind `?`.
    pub name: String,
    /// The message.
    pub value: String,
    /// Lines to show, coloured with ANSI sequences where that helps.
    pub traceback: Vec<String>,
    /// The line within the cell, from 1, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl std::fmt::Display for CellError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.name, self.value)
    }
}
