//! Where weights come from.
//!
//! The transformer asks for tensors by their Hugging Face names; a [`Checkpoint`] knows how its
//! file names and arranges them.

mod config_json;
mod float8;
mod gguf;
mod safetensors;

use tch::Tensor;

use crate::{Configuration, ModelError};

pub(crate) use gguf::GgufCheckpoint;
pub(crate) use safetensors::{FolderCheckpoint, read_json};

/// A source of weights.
pub(crate) trait Checkpoint {
    /// The shape of the model.
    fn configuration(&self) -> Result<Configuration, ModelError>;

    /// The tensor with this Hugging Face name as `f32` on the CPU; its shape is checked.
    fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError>;
}
