//! What can be wrong with a GGUF file.

use super::GgmlType;

/// Why a GGUF file cannot be used. The error around this one names the file.
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
    /// The version of the format is not supported.
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
        /// Bytes that it needs.
        expected: u64,
        /// Bytes left in the file.
        found: u64,
    },
    /// A metadata value is damaged, missing or out of range.
    #[error("metadata {key}: {detail}")]
    Metadata {
        /// The metadata key.
        key: String,
        /// What is wrong with the value.
        detail: String,
    },
    /// A tensor info cannot be right.
    #[error("tensor {name}: {detail}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong with the tensor info.
        detail: String,
    },
    /// Some of a tensor's data lies beyond the end of the file.
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
    /// A tensor is stored in a type that is not supported.
    #[error("tensor {name} is stored as {ggml_type}, supported are F32, F16, BF16, Q4_1 and Q8_0")]
    UnsupportedType {
        /// The tensor's name.
        name: String,
        /// How the tensor is stored.
        ggml_type: GgmlType,
    },
}
