//! GGUF files, the one-file format of llama.cpp: metadata, vocabulary and quantised weights.
//!
//! Layout after <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. A file comes from
//! anywhere, so nothing in it is believed: every length is compared with the bytes that are left
//! before anything is allocated.
//!
//! - [`cursor`]: bounds-checked little-endian reading;
//! - [`value`]: metadata values;
//! - [`contents`]: the header, as a pure function of the bytes;
//! - [`blocks`]: quantised blocks to `f32`;
//! - [`file`]: a memory-mapped file.

mod blocks;
mod contents;
mod cursor;
mod error;
mod file;
mod value;

pub use blocks::GgmlType;
pub use contents::{Header, TensorInfo};
pub use error::GgufError;
pub use file::Gguf;
pub use value::{MetadataArray, MetadataValue};
