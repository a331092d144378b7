//! The `config.json` of a Gemma model in a GGUF file.
//!
//! The keys are those that llama.cpp's converter writes (`convert_hf_to_gguf.py`); values that it
//! leaves out are those that llama.cpp assumes when it loads a file (`llama_model::load_hparams`).

use serde_json::{Value as Json, json};

use super::config_json::MAX_LAYERS;
use crate::ModelError;
use crate::gguf::{Gguf, MetadataValue};

/// Architecture and number of layers of the models of 27 billion parameters, whose
/// `query_pre_attn_scalar` is not the size of a head.
const LAYERS_OF_27B: [(&str, u64); 2] = [("gemma2", 46), ("gemma3", 62)];
/// Base of the rotary frequencies of sliding-window layers, and of all layers of Gemma 2.
const SLIDING_ROPE_BASE: f64 = 10_000.0;
const SCALING_TYPE: &str = "rope.scaling.type";

/// The metadata of one file with a Gemma model.
pub(super) struct GemmaMetadata<'a> {
    file: &'a Gguf,
    architecture: &'a str,
}

impl<'a> GemmaMetadata<'a> {
    pub(super) fn new(file: &'a Gguf) -> Result<Self, ModelError> {
        Ok(Self {
            file,
            architecture: file.string("general.architecture")?,
        })
    }

    pub(super) fn config_json(&self) -> Result<Json, ModelError> {
        let (hidden, heads) = (
            self.integer("embedding_length")?,
            self.integer("attention.head_count")?,
        );
        let layers = self.integer("block_count")?;
        let head_dim = self.integer("attention.key_length")?;
        let is_27b = LAYERS_OF_27B.contains(&(self.architecture, layers));
        let query_pre_attn_scalar = if is_27b && heads > 0 {
            hidden / heads
        } else {
            head_dim
        };
        let mut config = json!({
            "vocab_size": self.file.strings("tokenizer.ggml.tokens")?.len(),
            "hidden_size": hidden,
            "intermediate_size": self.integer("feed_forward_length")?,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": self.integer("attention.head_count_kv")?,
            "head_dim": head_dim,
            "hidden_activation": "gelu_pytorch_tanh",
            "max_position_embeddings": self.integer("context_length")?,
            "rms_norm_eps": self.file.float(&self.key("attention.layer_norm_rms_epsilon"))?,
            "query_pre_attn_scalar": query_pre_attn_scalar,
            "tie_word_embeddings": self.file.tensor_info("output.weight").is_none(),
            "final_logit_softcapping": self.optional_float("final_logit_softcapping")?,
        });
        let window = self.optional_integer("attention.sliding_window")?;
        let base = self.optional_float("rope.freq_base")?;
        match self.architecture {
            "gemma2" => {
                config["model_type"] = json!("gemma2");
                config["attn_logit_softcapping"] =
                    json!(self.optional_float("attn_logit_softcapping")?);
                config["sliding_window"] = json!(window.unwrap_or(4096));
                config["rope_theta"] = json!(base.unwrap_or(SLIDING_ROPE_BASE));
                self.check_unscaled()?;
            }
            _ => {
                config["model_type"] = json!("gemma3_text");
                let sliding_base = self.optional_float("rope.freq_base_swa")?;
                config["rope_parameters"] = json!({
                    "full_attention": self.full_attention_rope(base.unwrap_or(SLIDING_ROPE_BASE))?,
                    "sliding_attention": {
                        "rope_type": "default",
                        "rope_theta": sliding_base.unwrap_or(SLIDING_ROPE_BASE),
                    },
                });
                match window {
                    Some(window) if window > 0 => config["sliding_window"] = json!(window),
                    _ => {
                        // Reading the configuration refuses more layers than this.
                        let count = layers.min(MAX_LAYERS) as usize;
                        config["layer_types"] = json!(vec!["full_attention"; count]);
                    }
                }
            }
        }
        Ok(config)
    }

    /// The `rope_parameters` of full-attention layers.
    fn full_attention_rope(&self, base: f64) -> Result<Json, ModelError> {
        match self.file.get(&self.key(SCALING_TYPE)) {
            None => {}
            Some(MetadataValue::String(kind)) if kind == "none" => {}
            Some(MetadataValue::String(kind)) if kind == "linear" => {
                let factor = self.file.float(&self.key("rope.scaling.factor"))?;
                return Ok(json!({"rope_type": "linear", "rope_theta": base, "factor": factor}));
            }
            Some(other) => return Err(self.unsupported(SCALING_TYPE, other, "none, linear")),
        }
        Ok(json!({"rope_type": "default", "rope_theta": base}))
    }

    /// Fails if the rotary frequencies are scaled.
    fn check_unscaled(&self) -> Result<(), ModelError> {
        match self.file.get(&self.key(SCALING_TYPE)) {
            None => Ok(()),
            Some(MetadataValue::String(kind)) if kind == "none" => Ok(()),
            Some(other) => Err(self.unsupported(SCALING_TYPE, other, "none")),
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn integer(&self, name: &str) -> Result<u64, ModelError> {
        self.file.integer(&self.key(name))
    }

    fn optional_integer(&self, name: &str) -> Result<Option<u64>, ModelError> {
        let key = self.key(name);
        let found = self.file.get(&key);
        found.map(|_| self.file.integer(&key)).transpose()
    }

    fn optional_float(&self, name: &str) -> Result<Option<f64>, ModelError> {
        let key = self.key(name);
        let found = self.file.get(&key);
        found.map(|_| self.file.float(&key)).transpose()
    }

    fn unsupported(
        &self,
        name: &str,
        found: &MetadataValue,
        supported: &'static str,
    ) -> ModelError {
        ModelError::Unsupported {
            path: self.file.path().to_owned(),
            field: self.key(name),
            found: found.to_string(),
            supported,
        }
    }
}
