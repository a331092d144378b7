use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a response set could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResponseSetError {
    /// The file could not be opened.
    #[error("failed to open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Reading failed, for example in a truncated gzip stream.
    #[error("failed to read {}, line {line}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The line being read, counted from one.
        line: usize,
        /// The error of the operating system or the decompressor.
        source: io::Error,
    },
    /// The file could not be written; an existing file is unchanged.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file has no lines.
    #[error("failed to read {}: the file is empty, expected one JSON object per line", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A line cannot be parsed as a record.
    #[error("failed to read {}, line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// Why the line is not a record.
        problem: LineProblem,
    },
}

/// Why a line of a response set is not a record.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// The line is empty or white space.
    #[error("the line is empty, expected a JSON object")]
    Empty,
    /// The line is longer than the reader accepts.
    #[error("the line is longer than {limit} bytes")]
    TooLong {
        /// Longest line, in bytes.
        limit: usize,
    },
    /// The line is not UTF-8.
    #[error("the line is not UTF-8: invalid byte at offset {at}")]
    NotText {
        /// Offset of the first invalid byte in the line.
        at: usize,
    },
    /// The line is not JSON.
    #[error("the line is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// The line is JSON, but not an object.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// Type of the value found.
        found: &'static str,
    },
    /// A required field is missing.
    #[error("the field {field:?} is missing; the line has {}", known.join(", "))]
    MissingField {
        /// Name of the field.
        field: &'static str,
        /// Names of the fields on the line.
        known: Vec<String>,
    },
    /// A field has the wrong type.
    #[error("the field {field:?} must be {expected}, found {found}")]
    WrongType {
        /// Name of the field.
        field: &'static str,
        /// Type of the value expected.
        expected: &'static str,
        /// Type of the value found.
        found: &'static str,
    },
    /// The prompt is empty or white space.
    #[error("the field \"prompt\" is blank")]
    BlankPrompt,
    /// The record was written by a later version of offmodel.
    #[error(
        "the record has format version {found}, but this offmodel reads versions up to {supported}: \
             update it"
    )]
    Version {
        /// Format version of the record.
        found: u64,
        /// Latest format version that can be read.
        supported: u64,
    },
}
