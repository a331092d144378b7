//! GGUF files, llama.cpp's format of one file per model: metadata, vocabulary and quantised weights.
//!
//! The format is specified in <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. A file
//! may come from anywhere, so every length in it is compared with the bytes that are left before
//! anything is allocated.
//!
//! | module | purpose |
//! |---|---|
//! | [`cursor`] | bounds-checked little-endian reading |
//! | [`metadata`] | metadata values |
//! | [`header`] | metadata and tensor infos, as a pure function of the bytes |
//! | [`ggml_type`] | how tensors are stored, and dequantising them to `f32` |
//! | [`file`] | a memory-mapped file |

mod cursor;
mod error;
mod file;
mod ggml_type;
mod header;
mod metadata;

pub use error::GgufError;
pub use file::Gguf;
pub use ggml_type::GgmlType;
pub use header::{Header, TensorInfo};
pub use metadata::{MetadataArray, MetadataValue};
