//! Reads lines of a file, plain or gzip, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// The first bytes of every gzip stream (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A line that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The whole line without its line break (`LF` or `CRLF`).
    Whole(Vec<u8>),
    /// The line is longer than the limit. The next read skips the rest of it.
    TooLong,
}

/// Reads lines one by one.
pub(super) struct BoundedLines {
    source: Box<dyn BufRead + Send>,
    limit: usize,
    skip_rest: bool,
}

impl BoundedLines {
    /// Opens a file. Gzip is recognised by its content, not by the file name.
    pub(super) fn open(path: &Path, limit: usize) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
        let source: Box<dyn BufRead + Send> = if file.fill_buf()?.starts_with(&GZIP_MAGIC) {
            Box::new(BufReader::new(MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self {
            source,
            limit,
            skip_rest: false,
        })
    }

    /// Longest line, in bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The next line; none at the end of the file.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        if std::mem::take(&mut self.skip_rest) {
            self.source.skip_until(b'\n')?;
        }
        let mut line = Vec::new();
        // Room for CRLF, and one byte more to see that the line is too long.
        let allowed = self.limit as u64 + 3;
        if (&mut self.source)
            .take(allowed)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok(None);
        }
        let ended = line.pop_if(|byte| *byte == b'\n').is_some();
        line.pop_if(|byte| *byte == b'\r');
        if line.len() > self.limit {
            self.skip_rest = !ended;
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Whole(line)))
    }
}
