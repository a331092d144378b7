use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::CellError;

/// A message from a running cell to the kernel or runner that started it.
///
/// Each event is one JSON object whose field `event` names the variant. Readers skip variants that
/// they do not know, so that an older runner can read the events of a newer program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A cell of a program begins.
    CellStarted {
        /// The cell's place among the notebook's code cells, from 1.
        cell: usize,
    },
    /// Text written to standard output or standard error, as it arrived: possibly half a line.
    Stream {
        /// The stream it was written to.
        stream: Stream,
        /// The text, with invalid UTF-8 replaced by U+FFFD.
        text: String,
    },
    /// A value to show: Jupyter's `display_data`.
    Display {
        /// The value in several formats; the front end shows the richest one it supports.
        data: MimeBundle,
        /// Names the display for a later [`Event::UpdateDisplay`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display_id: Option<String>,
    },
    /// New content for an earlier display: Jupyter's `update_display_data`.
    UpdateDisplay {
        /// The new content.
        data: MimeBundle,
        /// The display whose content is replaced.
        display_id: String,
    },
    /// Clear the cell's outputs so far.
    ClearOutput {
        /// Wait for the next output before clearing, which avoids flicker.
        wait: bool,
    },
    /// The cell asks the user for input and waits for the [`InputReply`](crate::input::InputReply).
    InputRequest {
        /// Identifies the request in its reply.
        id: String,
        /// The prompt.
        prompt: String,
        /// Whether the front end must not echo the input.
        password: bool,
    },
    /// The value of the cell's last expression: Jupyter's `execute_result`.
    Result {
        /// The value in several formats.
        data: MimeBundle,
    },
    /// The cell failed.
    Error {
        /// The message and its place in the cell.
        error: CellError,
    },
    /// A frame was recorded as a result of the trial.
    Recorded {
        /// The name under which it was recorded.
        name: String,
        /// The frame's file, relative to the attempt's folder.
        file: String,
    },
    /// A notebook variable of a live session holds a frame; its columns are candidates for
    /// completion.
    Columns {
        /// The variable's name.
        variable: String,
        /// The columns, in order.
        columns: Vec<String>,
    },
    /// A cell ended, with or without an error. In a live session this is its last event.
    CellFinished {
        /// The cell's place among the notebook's code cells, from 1; live, the execution count.
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

/// One value in several formats: Jupyter's map from MIME type to content.
///
/// The content of a text format is a JSON string; that of a binary one (`image/png`) is a base64
/// string.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MimeBundle(pub BTreeMap<String, Value>);

impl MimeBundle {
    /// A bundle with one format, `text/plain`.
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

    /// The content of one format, if the bundle has it as a string.
    pub fn get(&self, mime: &str) -> Option<&str> {
        self.0.get(mime).and_then(Value::as_str)
    }
}
