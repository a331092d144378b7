//! Errors in a sweep file, each with its location.

use std::fmt;
use std::path::{Path, PathBuf};

use offmodel_support::suggestion;

use crate::assignment::AssignmentError;
use crate::store::DataError;

/// A location in a sweep file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Location {
    /// The location of the byte at `offset` in `text`.
    pub(super) fn at(file: &Path, text: &str, offset: usize) -> Self {
        let (line, column) = offmodel_cells::line_and_column(text, offset);
        Self {
            file: file.to_owned(),
            line,
            column,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}, line {}, column {}",
            self.file.display(),
            self.line,
            self.column
        )
    }
}

/// Why a sweep file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The file cannot be read.
    #[error("failed to read sweep file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{location}: not TOML: {message}")]
    Syntax {
        /// The location in the sweep file.
        location: Location,
        /// The message of the TOML parser.
        message: String,
    },
    /// A key is unknown.
    #[error("{location}: unknown key `{key}`{}; known: {}", suggestion::hint(key, known), known.join(", "))]
    UnknownKey {
        /// The location in the sweep file.
        location: Location,
        /// The key.
        key: String,
        /// The keys that are known.
        known: Vec<&'static str>,
    },
    /// A required key is missing.
    #[error("{}: the key `{key}` is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// A value has the wrong type.
    #[error("{location}: `{key}`: expected {expected}, found {found}")]
    WrongType {
        /// The location in the sweep file.
        location: Location,
        /// The key.
        key: String,
        /// The expected type, in words.
        expected: &'static str,
        /// The value that was found, in words.
        found: String,
    },
    /// The format has another version.
    #[error("{location}: version {found} of the sweep file is unknown, expected 1")]
    Version {
        /// The location in the sweep file.
        location: Location,
        /// The version that was found.
        found: String,
    },
    /// The name cannot be the name of a folder.
    #[error(
        "{location}: `{name}` cannot be the name of a sweep: use letters, digits, `_`, `-`, `.` and {{date}}, and begin with a letter or digit"
    )]
    Name {
        /// The location in the sweep file.
        location: Location,
        /// The name.
        name: String,
    },
    /// A list has no values, or a section no lists.
    #[error("{location}: `{key}` is empty, so that there is nothing to run")]
    Empty {
        /// The location in the sweep file.
        location: Location,
        /// The key.
        key: String,
    },
    /// Two sections set the same parameter.
    #[error("{location}: `{name}` is set in [{first}] and again in [{second}]")]
    SetTwice {
        /// Where it is set again.
        location: Location,
        /// The parameter.
        name: String,
        /// The section that sets it first.
        first: String,
        /// The section that sets it again.
        second: &'static str,
    },
    /// Lists in `[zip]` have different lengths.
    #[error("{location}: `{name}` has {found} values, but the first list of [zip] has {expected}")]
    Lengths {
        /// The location in the sweep file.
        location: Location,
        /// The parameter.
        name: String,
        /// The length of the first list.
        expected: usize,
        /// The length of this list.
        found: usize,
    },
    /// All trials are excluded.
    #[error("{location}: `exclude` removes every trial")]
    NothingLeft {
        /// The first exclusion.
        location: Location,
    },
    /// The sweep has more trials than anyone can mean.
    #[error("{location}: the sweep has more than {limit} trials")]
    TooMany {
        /// The first value that varies.
        location: Location,
        /// The limit.
        limit: usize,
    },
    /// A directive sets an option of `sbatch` that the runner sets itself.
    #[error("{location}: `--{option}` is set by the runner; use instead: {instead}")]
    Directive {
        /// The location in the sweep file.
        location: Location,
        /// The option, without dashes.
        option: String,
        /// The key that sets the option, or why it cannot be set.
        instead: &'static str,
    },
    /// A parameter that should name data does not.
    #[error(
        "{location}: parameter `{name}` names data, so it must be a path, a list of paths or none; found {found}"
    )]
    NoPath {
        /// The entry of `data` that names the parameter.
        location: Location,
        /// The parameter.
        name: String,
        /// The value that was found.
        found: String,
    },
    /// Data cannot be read.
    #[error("{location}: {source}")]
    Data {
        /// The entry of `data`.
        location: Location,
        /// The cause.
        source: DataError,
    },
    /// The notebook has no such parameter, or one of another type.
    #[error("{location}: {source}")]
    Assignment {
        /// The location in the sweep file.
        location: Location,
        /// The cause.
        source: AssignmentError,
    },
}
