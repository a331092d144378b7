//! A checkpoint in a GGUF file.

use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};

use super::Checkpoint;
use super::config_json::ConfigJson;
use super::gguf_gemma::GemmaMetadata;
use super::gguf_names::{gguf_name, hugging_face_name};
use crate::configuration::{RopeScaling, Variations};
use crate::gguf::{Gguf, MetadataValue};
use crate::{Configuration, ModelError};

/// Larger sizes are taken for damage; the largest published vocabulary is 262,144.
const MAX_SIZE: u64 = 1 << 24;

/// The values of `general.architecture` that are Gemma models.
const GEMMA_ARCHITECTURES: [&str; 2] = ["gemma2", "gemma3"];

/// Reads the tensors of a [`Gguf`] under their Hugging Face names.
pub(crate) struct GgufCheckpoint<'a> {
    file: &'a Gguf,
}

impl<'a> GgufCheckpoint<'a> {
    pub(crate) fn new(file: &'a Gguf) -> Self {
        Self { file }
    }

    /// The size at `llama.KEY`.
    fn size(&self, key: &str) -> Result<i64, ModelError> {
        let key = format!("llama.{key}");
        let value = self.file.integer(&key)?;
        if value == 0 || value > MAX_SIZE {
            let detail = format!("{value} is not between 1 and {MAX_SIZE}");
            return Err(self.file.wrong_metadata(&key, detail));
        }
        Ok(value.cast_signed())
    }

    /// Whether the model is of a supported generation of Gemma.
    fn is_gemma(&self) -> bool {
        let architecture = self.file.string("general.architecture");
        architecture.is_ok_and(|name| GEMMA_ARCHITECTURES.contains(&name))
    }

    fn unsupported(&self, field: &str, found: String, supported: &'static str) -> ModelError {
        ModelError::Unsupported {
            path: self.file.path().to_owned(),
            field: field.to_owned(),
            found,
            supported,
        }
    }

    /// Fails unless the rotary embedding covers the whole head and is not scaled.
    fn check_rope(&self, head_dim: i64) -> Result<(), ModelError> {
        const DIMENSIONS: &str = "llama.rope.dimension_count";
        const SCALING: &str = "llama.rope.scaling.type";
        if self.file.get(DIMENSIONS).is_some() {
            let rotated = self.file.integer(DIMENSIONS)?;
            if rotated != head_dim.unsigned_abs() {
                return Err(self.unsupported(
                    DIMENSIONS,
                    rotated.to_string(),
                    "the size of a head",
                ));
            }
        }
        match self.file.get(SCALING) {
            None => {}
            Some(MetadataValue::String(kind)) if kind == "none" => {}
            Some(other) => {
                return Err(self.unsupported(SCALING, other.to_string(), "none"));
            }
        }
        // Files of Llama 3.1 have the scaled frequencies as a tensor.
        if self.file.tensor_info("rope_freqs.weight").is_some() {
            return Err(self.unsupported("rope_freqs.weight", "present".to_owned(), "absent"));
        }
        Ok(())
    }
}

impl Checkpoint for GgufCheckpoint<'_> {
    fn configuration(&self) -> Result<Configuration, ModelError> {
        let model_type = self.file.string("general.architecture")?;
        if self.is_gemma() {
            let json = self.config_json()?;
            return ConfigJson::new(self.file.path(), &json).configuration();
        }
        if model_type != "llama" {
            let supported = "llama, gemma2, gemma3";
            return Err(self.unsupported("general.architecture", model_type.to_owned(), supported));
        }
        let hidden_size = self.size("embedding_length")?;
        let num_attention_heads = self.size("attention.head_count")?;
        let num_key_value_heads = match self.file.get("llama.attention.head_count_kv") {
            Some(_) => self.size("attention.head_count_kv")?,
            None => num_attention_heads,
        };
        let head_dim = match self.file.get("llama.attention.key_length") {
            Some(_) => self.size("attention.key_length")?,
            None => hidden_size / num_attention_heads,
        };
        if num_attention_heads % num_key_value_heads != 0 {
            let detail = format!("{num_key_value_heads} does not divide {num_attention_heads}");
            return Err(self
                .file
                .wrong_metadata("llama.attention.head_count_kv", detail));
        }
        if head_dim == 0 || head_dim % 2 != 0 {
            let detail = format!("heads of size {head_dim}, expected an even size");
            return Err(self
                .file
                .wrong_metadata("llama.attention.head_count", detail));
        }
        self.check_rope(head_dim)?;
        Ok(Configuration {
            model_type: model_type.to_owned(),
            vocab_size: self.file.strings("tokenizer.ggml.tokens")?.len() as i64,
            hidden_size,
            intermediate_size: self.size("feed_forward_length")?,
            num_hidden_layers: self.size("block_count")?,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            max_position_embeddings: self.size("context_length")? as usize,
            rms_norm_eps: self.file.float("llama.attention.layer_norm_rms_epsilon")?,
            rope_theta: match self.file.get("llama.rope.freq_base") {
                Some(_) => self.file.float("llama.rope.freq_base")?,
                None => 10_000.0,
            },
            tie_word_embeddings: self.file.tensor_info("output.weight").is_none(),
            rope_scaling: RopeScaling::Default,
            attention_bias: false,
            mlp_bias: false,
            qk_norm: false,
            latent_attention: None,
            moe: None,
            variations: Variations::default(),
        })
    }

    fn config_json(&self) -> Result<Json, ModelError> {
        if self.is_gemma() {
            GemmaMetadata::new(self.file)?.config_json()
        } else {
            Ok(llama_config_json(&self.configuration()?))
        }
    }

    fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        let is_gemma = self.is_gemma();
        let tensor = gguf_name(name, is_gemma);
        let missing = || ModelError::MissingTensor {
            path: self.file.path().to_owned(),
            tensor: tensor.clone(),
        };
        let found = &self.file.tensor_info(&tensor).ok_or_else(missing)?.shape;
        if found != shape {
            return Err(ModelError::Shape {
                path: self.file.path().to_owned(),
                tensor,
                expected: shape.to_vec(),
                found: found.clone(),
            });
        }
        let weights = Tensor::f_from_slice(&self.file.dequantize(&tensor)?)?.f_view(shape)?;
        if is_gemma {
            // llama.cpp's converter adds 1 to the weights of Gemma's norms, and does not permute the
            // rows of projections.
            return if name.ends_with("norm.weight") {
                Ok(weights.f_sub_scalar(1.0)?)
            } else {
                Ok(weights)
            };
        }
        if name.ends_with("q_proj.weight") {
            let heads = self.size("attention.head_count")?;
            return Ok(unpermute(&weights, heads)?);
        }
        if name.ends_with("k_proj.weight") {
            let heads = self.configuration()?.num_key_value_heads;
            return Ok(unpermute(&weights, heads)?);
        }
        Ok(weights)
    }

    fn kind(&self) -> Kind {
        Kind::Float
    }

    fn parameter_counts(&self) -> Vec<(String, u64)> {
        let is_gemma = self.is_gemma();
        let counts = self.file.tensor_infos().map(|(name, info)| {
            let count = info.shape.iter().map(|size| size.unsigned_abs()).product();
            (hugging_face_name(name, is_gemma), count)
        });
        counts.collect()
    }
}

/// The `config.json` that Hugging Face would have for a Llama model.
fn llama_config_json(configuration: &Configuration) -> Json {
    json!({
        "model_type": configuration.model_type,
        "vocab_size": configuration.vocab_size,
        "hidden_size": configuration.hidden_size,
        "intermediate_size": configuration.intermediate_size,
        "num_hidden_layers": configuration.num_hidden_layers,
        "num_attention_heads": configuration.num_attention_heads,
        "num_key_value_heads": configuration.num_key_value_heads,
        "head_dim": configuration.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": configuration.max_position_embeddings,
        "rms_norm_eps": configuration.rms_norm_eps,
        "rope_theta": configuration.rope_theta,
        "attention_bias": configuration.attention_bias,
        "mlp_bias": configuration.mlp_bias,
    })
}

/// Reorders the rows of a query or key projection, `[heads * head_dim, in_features]`, from llama.cpp's
/// order to Hugging Face's: the reverse of `LlamaModel.permute` in `convert_hf_to_gguf.py`.
///
/// In llama.cpp's order the two rows that rotate together are neighbours; in Hugging Face's they are
/// half a head apart.
fn unpermute(weights: &Tensor, heads: i64) -> Result<Tensor, tch::TchError> {
    let shape = weights.size();
    weights
        .f_view([heads, -1, 2, shape[1]])?
        .f_transpose(1, 2)?
        .f_reshape(&shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_rotate_together_move_half_a_head_apart() {
        // Two heads of size 4 with one input feature. Rows are numbered in the order of the file.
        let file = Tensor::arange(8, (tch::Kind::Float, tch::Device::Cpu)).view([8, 1]);
        let rows = unpermute(&file, 2).unwrap();
        assert_eq!(
            Vec::<f32>::try_from(rows.view(-1)).unwrap(),
            [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]
        );
    }
}
