//! What can be wrong with a GGUF file.

use super::GgmlType;

/// A damaged, foreign or unsupported GGUF file. The path is in the error around it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The first four bytes are not `GGUF`.
    #[error(
        "not a GGUF file: it starts with {found:02x?}, expected {:02x?} (\"GGUF\")",
        b"GGUF"
    )]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A version of the format this reader does not know.
    #[error("GGUF version {found} is not supported, expected 2 or 3 (little-endian)")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The file ends too early.
    #[error("truncated: {what} at byte {offset} needs {expected} bytes, {found} are left")]
    Truncated {
        /// What was being read.
        what: String,
        /// Where it begins.
        offset: u64,
        /// Bytes it needs.
        expected: u64,
        /// Bytes left in the file.
        found: u64,
    },
    /// A metadata value that cannot be what it says.
    #[error("metadata {key}: {detail}")]
    Metadata {
        /// The metadata key.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A tensor description that cannot be right.
    #[error("tensor {name}: {detail}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The data of a tensor lies, in part, beyond the end of the file.
    #[error("truncated: tensor {name} needs bytes {start} to {end}, the file has {found} bytes")]
    TensorBeyondEnd {
        /// The tensor's name.
        name: String,
        /// First byte of its data.
        start: u64,
        /// One past the last byte of its data.
        end: u64,
        /// Size of the file in bytes.
        found: u64,
    },
    /// A quantisation this reader does not decode.
    #[error("tensor {name} is stored as {encoding}, supported are F32, F16, BF16, Q4_1 and Q8_0")]
    GgmlType {
        /// The tensor's name.
        name: String,
        /// How it is stored.
        encoding: GgmlType,
    },
}
