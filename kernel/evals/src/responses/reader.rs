use std::path::{Path, PathBuf};

use super::bounded_lines::{BoundedLines, Line};
use super::error::{LineProblem, ResponseSetError};
use super::record::ResponseRecord;

/// Longest line that is read, in bytes: far above a response of 10,000 tokens, far below what would
/// exhaust memory.
pub const MAX_LINE_BYTES: usize = 8 << 20;

/// Iterates over the records of a file of JSON lines, plain or gzip, with one line in memory.
///
/// The iterator ends after the first error.
pub struct ResponseReader {
    path: PathBuf,
    lines: BoundedLines,
    line: usize,
    ended: bool,
}

impl ResponseReader {
    /// Opens a file.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ResponseSetError> {
        let path = path.as_ref();
        let lines =
            BoundedLines::open(path, MAX_LINE_BYTES).map_err(|source| ResponseSetError::Open {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            path: path.to_owned(),
            lines,
            line: 0,
            ended: false,
        })
    }

    fn read(&mut self) -> Result<Option<ResponseRecord>, ResponseSetError> {
        let path = || self.path.clone();
        let line = self.line + 1;
        let read = self
            .lines
            .next_line()
            .map_err(|source| ResponseSetError::Read {
                path: path(),
                line,
                source,
            })?;
        let parsed = match read {
            None if self.line == 0 => return Err(ResponseSetError::EmptyFile { path: path() }),
            None => return Ok(None),
            Some(Line::TooLong) => Err(LineProblem::TooLong {
                limit: self.lines.limit(),
            }),
            Some(Line::Whole(bytes)) => ResponseRecord::parse(&bytes),
        };
        self.line = line;
        parsed.map(Some).map_err(|problem| ResponseSetError::Line {
            path: path(),
            line,
            problem,
        })
    }
}

impl Iterator for ResponseReader {
    type Item = Result<ResponseRecord, ResponseSetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read().transpose();
        self.ended = !matches!(read, Some(Ok(_)));
        read
    }
}
