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
        /// What the operating system said.
        source: io::Error,
    },
    /// Reading stopped, for example in a truncated gzip stream.
    #[error("failed to read {}, line {line}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The line being read, counted from one.
        line: usize,
        /// What the operating system or the decompressor said.
        source: io::Error,
    },
    /// The file could not be written; what was there before is untouched.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file holds no line.
    #[error("failed to read {}: the file is empty, expected one JSON object a line", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A line is no record.
    #[error("failed to read {}, line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// What is wrong with it.
        problem: LineProblem,
    },
}

/// What is wrong with one line of a response set.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// Nothing, or only white space, on it.
    #[error("the line is empty, expected a JSON object")]
    Empty,
    /// Longer than the reader accepts; the rest of it was not kept.
    #[error("the line is longer than {limit} bytes")]
    TooLong {
        /// The most bytes that a line may have.
        limit: usize,
    },
    /// Bytes that are no text.
    #[error("the line is not UTF-8: byte {at} starts no character")]
    NotText {
        /// Offset of the first wrong byte in the line.
        at: usize,
    },
    /// Text that is no JSON.
    #[error("the line is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// JSON, but no object.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// The kind of value found.
        found: &'static str,
    },
    /// A field that every record has.
    #[error("the field {field:?} is missing; the line has {}", known.join(", "))]
    MissingField {
        /// The field.
        field: &'static str,
        /// The fields that the line has.
        known: Vec<String>,
    },
    /// A field of another type.
    #[error("the field {field:?} must be {expected}, found {found}")]
    WrongType {
        /// The field.
        field: &'static str,
        /// The kind of value expected.
        expected: &'static str,
        /// The kind of value found.
        found: &'static str,
    },
    /// A prompt without a word in it.
    #[error("the field \"prompt\" is blank")]
    BlankPrompt,
    /// Written by a later version of this program.
    #[error("the record has version {found}, this program reads versions up to {supported}")]
    Version {
        /// The record's version.
        found: u64,
        /// The latest version that is understood.
        supported: u64,
    },
}
