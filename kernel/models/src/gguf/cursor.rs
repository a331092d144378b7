//! Bounds-checked reading from a byte slice.

use super::GgufError;

/// The longest key or string that is accepted; chat templates have tens of kilobytes.
const MAX_STRING_BYTES: u64 = 1 << 26;

/// A position in a byte slice. Every read is checked against the bytes that are left.
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

    /// Takes the next `count` bytes; `what` names them in the error.
    pub(super) fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], GgufError> {
        self.require(count, what)?;
        // `require` has shown that `count` is at most the length of a slice, so it fits into usize.
        let end = self.position + count as usize;
        let taken = &self.bytes[self.position..end];
        self.position = end;
        Ok(taken)
    }

    /// Fails unless `count` more bytes are left; `what` names them in the error.
    pub(super) fn require(&self, count: u64, what: &str) -> Result<(), GgufError> {
        let left = (self.bytes.len() - self.position) as u64;
        if count > left {
            return Err(GgufError::Truncated {
                what: what.to_owned(),
                offset: self.position as u64,
                expected: count,
                found: left,
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

    /// Reads a length-prefixed UTF-8 string.
    pub(super) fn string(&mut self, what: &str) -> Result<String, GgufError> {
        let length = self.u64(what)?;
        if length > MAX_STRING_BYTES {
            return Err(GgufError::Metadata {
                key: what.to_owned(),
                detail: format!(
                    "a string of {length} bytes, at most {MAX_STRING_BYTES} are allowed"
                ),
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
