//! Where a model's weights come from.
//!
//! The transformer asks for tensors by their Hugging Face names. A [`Checkpoint`] translates the
//! names and the layout of its file.
//!
//! | module | purpose |
//! |---|---|
//! | [`safetensors`] | a folder of safetensors files, with [`float8`] for DeepSeek-V3's weights |
//! | [`gguf`] | a GGUF file, with [`gguf_names`] and [`gguf_gemma`] |
//! | [`random`] | random weights, for measuring speed |
//! | [`config_json`], [`gemma`] | `config.json` to a [`Configuration`] |

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
pub(crate) use config_json::ConfigJson;
pub(crate) use gguf::GgufCheckpoint;
pub(crate) use random::RandomCheckpoint;
pub(crate) use safetensors::{SafetensorsCheckpoint, read_json};

/// A source of weights.
pub(crate) trait Checkpoint {
    /// The shape of the model.
    fn configuration(&self) -> Result<Configuration, ModelError>;

    /// The model's `config.json`, or what it would be for a format that has none.
    fn config_json(&self) -> Result<Value, ModelError>;

    /// The tensor with this Hugging Face name, on the CPU, in the kind of the file, or in `f32` if
    /// the file has it quantised. Fails if its shape is not `shape`.
    fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError>;

    /// The kind that keeps the weights' precision without wasting memory: that of the file, `bf16`
    /// for weights of eight bits, or `f32` for other quantised ones.
    fn kind(&self) -> Kind;

    /// The Hugging Face names of all tensors and the number of elements of each.
    fn parameter_counts(&self) -> Vec<(String, u64)>;
}
