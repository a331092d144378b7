//! Bounds-checked reading from a byte slice.

use super::GgufError;

/// The longest key or string this reader accepts: chat templates are tens of kilobytes.
const LONGEST_STRING: u64 = 1 << 26;

/// A position in a byte slice; every read is checked against what is left.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn left(&self) -> u64 {
        (self.bytes.len() - self.position) as u64
    }

    /// The next `count` bytes; `what` names them in the error.
    pub(super) fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], GgufError> {
        self.require(count, what)?;
        // `require` has shown that `count` fits into what is left, so also into usize.
        let end = self.position + count as usize;
        let taken = &self.bytes[self.position..end];
        self.position = end;
        Ok(taken)
    }

    /// Fails unless `count` more bytes are there.
    pub(super) fn require(&self, count: u64, what: &str) -> Result<(), GgufError> {
        if count > self.left() {
            return Err(GgufError::Truncated {
                what: what.to_owned(),
                offset: self.position as u64,
                expected: count,
                found: self.left(),
            });
        }
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let taken = self.take(N as u64, what)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(taken);
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A length-prefixed UTF-8 string.
    pub(super) fn string(&mut self, what: &str) -> Result<String, GgufError> {
        let length = self.u64(what)?;
        if length > LONGEST_STRING {
            return Err(GgufError::Metadata {
                key: what.to_owned(),
                detail: format!("a string of {length} bytes, the most is {LONGEST_STRING}"),
            });
        }
        let bytes = self.take(length, what)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(GgufError::Metadata {
                key: what.to_owned(),
                detail: format!("not UTF-8: {error}"),
            }),
        }
    }
}
