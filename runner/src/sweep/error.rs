use std::fmt;
use std::path::{Path, PathBuf};

use crate::assignment::AssignmentError;
use crate::store::DataError;

/// A place in a sweep file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of a byte offset.
    pub(super) fn at(file: &Path, text: &str, offset: usize) -> Self {
        let (line, column) = offmodel_cells::line_and_column(text, offset);
        Self {
            file: file.to_owned(),
            line,
            column,
        }
    }
}

impl fmt::Display for Place {
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

/// A sweep file that cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The file cannot be read.
    #[error("failed to read sweep file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("{place}: not TOML: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong.
        message: String,
    },
    /// A key that means nothing.
    #[error("{place}: unknown key `{key}`{}; known: {}", hint(key, known), known.join(", "))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// A key that must be there.
    #[error("{}: the key `{key}` is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// A value of another type.
    #[error("{place}: `{key}`: expected {expected}, found {found}")]
    WrongType {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The type in words.
        expected: &'static str,
        /// The type found.
        found: String,
    },
    /// A version of the format that is not ours.
    #[error("{place}: version {found} of the sweep file is not known, expected 1")]
    Version {
        /// Where.
        place: Place,
        /// The version.
        found: String,
    },
    /// A name that is not a folder's name.
    #[error(
        "{place}: `{name}` cannot be the name of a sweep: use letters, digits, `_`, `-`, `.` and {{date}}, and begin with a letter or digit"
    )]
    Name {
        /// Where.
        place: Place,
        /// The name.
        name: String,
    },
    /// A list without values, or a grid without lists.
    #[error("{place}: `{key}` is empty, so that there is nothing to run")]
    Empty {
        /// Where.
        place: Place,
        /// The key.
        key: String,
    },
    /// The same parameter in two sections.
    #[error("{place}: `{name}` stands in [{first}] and in [{second}]")]
    GivenTwice {
        /// Where the second one stands.
        place: Place,
        /// The parameter.
        name: String,
        /// The section that has it first.
        first: String,
        /// The section that has it again.
        second: &'static str,
    },
    /// Lists in `[zip]` of different lengths.
    #[error("{place}: `{name}` has {found} values, the first list of [zip] has {expected}")]
    Lengths {
        /// Where.
        place: Place,
        /// The parameter.
        name: String,
        /// Values of the first list.
        expected: usize,
        /// Values of this one.
        found: usize,
    },
    /// Exclusions that leave nothing.
    #[error("{place}: `exclude` leaves no trial")]
    NothingLeft {
        /// Where an exclusion stands.
        place: Place,
    },
    /// More trials than anyone means.
    #[error("{place}: the sweep has more than {limit} trials")]
    TooMany {
        /// Where what varies begins.
        place: Place,
        /// The limit.
        limit: usize,
    },
    /// An option of `sbatch` that would contradict the runner's own.
    #[error("{place}: `--{option}` is set by the runner; instead of it: {instead}")]
    Directive {
        /// Where.
        place: Place,
        /// The option, without dashes.
        option: String,
        /// What sets it.
        instead: &'static str,
    },
    /// A parameter that is to name data and does not.
    #[error("{place}: parameter `{name}` is to be a path, a list of paths or none, found {found}")]
    NoPath {
        /// Where it is said to.
        place: Place,
        /// The parameter.
        name: String,
        /// Its value.
        found: String,
    },
    /// Data that cannot be read.
    #[error("{place}: {source}")]
    Data {
        /// Where it is named.
        place: Place,
        /// What is wrong.
        source: DataError,
    },
    /// A value that the notebook cannot take.
    #[error("{place}: {source}")]
    Assignment {
        /// Where.
        place: Place,
        /// What is wrong.
        source: AssignmentError,
    },
}

fn hint(key: &str, known: &[&'static str]) -> String {
    crate::suggestion::hint(key, known)
}
