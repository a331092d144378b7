//! Where weights come from.
//!
//! The transformer asks for tensors by their Hugging Face names; a [`Checkpoint`] knows how its
//! file names and arranges them.

mod config_json;
mod float8;
mod gemma;
mod gguf;
mod gguf_gemma;
mod gguf_names;
mod random;
mod safetensors;

use serde_json::Value;
use tch::{Kind, Tensor};

use crate::{Configuration, ModelError};

#[cfg(test)]
pub(crate) use config_json::Fields;
pub(crate) use gguf::GgufCheckpoint;
pub(crate) use random::RandomCheckpoint;
pub(crate) use safetensors::{SafetensorsCheckpoint, read_json};

/// A source of weights.
pub(crate) trait Checkpoint {
    /// The shape of the model.
    fn configuration(&self) -> Result<Configuration, ModelError>;

    /// `config.json`, as it is or would be.
    fn config_json(&self) -> Result<Value, ModelError>;

    /// The tensor with this Hugging Face name on the CPU; its shape is checked. Its kind is the
    /// file's, or `f32` where the file has it quantised.
    fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError>;

    /// The kind in which the weights are best kept: the file's own, or `bf16` where the file has
    /// them quantised to eight bits, and `f32` where it has them quantised further.
    fn kind(&self) -> Kind;

    /// The Hugging Face names of all tensors and how many numbers each has.
    fn numbers(&self) -> Vec<(String, u64)>;
}
