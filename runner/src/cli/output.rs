//! What commands print: a value, as text for people or as JSON for programs.
//!
//! Every command computes a value that implements [`Output`] and prints it with [`print`], in the
//! [`Format`] that the user chose. JSON is one document on standard output, also if the command
//! ends with another exit code than 0; commands that follow something print one document a line.
//! Errors go to standard error, as text.
//!
//! Every document has `version`; within a version, keys are added but never renamed or removed.
//! `runner/README.md` lists the keys.

use serde::Serialize;

use crate::error::RunnerError;
use crate::terminal::outln;

/// The version of all documents.
pub(super) const VERSION: u32 = 1;

/// A value that a command prints.
pub(super) trait Output: Serialize {
    /// Prints the value for people: results on standard output, remarks on standard error.
    fn print_text(&self);
}

/// The format in which values are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Text for people.
    Text,
    /// One indented JSON document.
    Json,
    /// JSON documents of one line each, so that a reader need not wait for the end.
    JsonLines,
}

impl Format {
    /// The format that `--json` selects, or not.
    pub(super) fn from_flag(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }

    /// The format that `--json` selects, or not, in commands that print many values.
    pub(super) fn lines_from_flag(json: bool) -> Self {
        if json { Self::JsonLines } else { Self::Text }
    }
}

/// Prints a value. A closed standard output, as behind `| head`, is no error.
pub(super) fn print(value: &impl Output, format: Format) -> Result<(), RunnerError> {
    let text = match format {
        Format::Text => {
            value.print_text();
            return Ok(());
        }
        Format::Json => serde_json::to_string_pretty(value),
        Format::JsonLines => serde_json::to_string(value),
    };
    let text = text.map_err(|error| RunnerError::Write {
        path: "standard output".into(),
        source: std::io::Error::other(error),
    })?;
    outln!("{text}");
    Ok(())
}
