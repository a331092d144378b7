//! Reads a configuration from Hugging Face's `config.json`.

use std::path::Path;

use serde_json::Value;

use crate::configuration::{
    LatentAttention, MixtureOfExperts, RopeScaling, Scoring, Variations, Yarn,
};
use crate::{Configuration, ModelError};

/// The supported values of `model_type`.
const ARCHITECTURES: &str =
    "llama, qwen3, qwen3_moe, deepseek_v3, gemma2, gemma3_text, gemma3, gemma4_text, gemma4";

/// Larger sizes are taken for damage. Products of a few sizes up to this one do not overflow.
const MAX_SIZE: i64 = 1 << 24;
const VALID_SIZES: &str = "integers from 1 to 16777216";
/// More layers are taken for damage; the deepest published models have about 130.
pub(super) const MAX_LAYERS: u64 = 4096;

/// One `config.json`, or an object nested in it. A field that is null counts as absent.
pub(crate) struct ConfigJson<'a> {
    pub(super) path: &'a Path,
    json: &'a Value,
}

impl<'a> ConfigJson<'a> {
    pub(crate) fn new(path: &'a Path, json: &'a Value) -> Self {
        Self { path, json }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.json.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is present and null, for fields where null differs from absence.
    pub(super) fn is_null(&self, name: &str) -> bool {
        self.json.get(name).is_some_and(Value::is_null)
    }

    /// The error for a field whose value is not supported.
    pub(super) fn unsupported(&self, field: &str, supported: &'static str) -> ModelError {
        ModelError::Unsupported {
            path: self.path.to_owned(),
            field: field.to_owned(),
            found: self
                .get(field)
                .map_or("missing".to_owned(), Value::to_string),
            supported,
        }
    }

    /// A size, if the field is present.
    pub(super) fn optional_size(&self, name: &str) -> Result<Option<i64>, ModelError> {
        let in_range = |value: &Value| {
            let size = value.as_i64();
            size.filter(|size| (1..=MAX_SIZE).contains(size))
        };
        match self.get(name) {
            None => Ok(None),
            Some(value) => match in_range(value) {
                Some(size) => Ok(Some(size)),
                None => Err(self.unsupported(name, VALID_SIZES)),
            },
        }
    }

    pub(super) fn check_layers(&self, layers: i64) -> Result<(), ModelError> {
        match layers.unsigned_abs() {
            ..=MAX_LAYERS => Ok(()),
            _ => Err(self.unsupported("num_hidden_layers", "at most 4096")),
        }
    }

    /// A size that may be 0, which means that the model does not have such a part.
    pub(super) fn optional_count(&self, name: &str) -> Result<Option<i64>, ModelError> {
        match self.get(name).and_then(Value::as_i64) {
            Some(0) => Ok(Some(0)),
            _ => self.optional_size(name),
        }
    }

    /// A size that must be present.
    pub(super) fn size(&self, name: &str) -> Result<i64, ModelError> {
        self.optional_size(name)?
            .ok_or_else(|| self.unsupported(name, VALID_SIZES))
    }

    pub(super) fn optional_float(&self, name: &str) -> Result<Option<f64>, ModelError> {
        match self.get(name).map(Value::as_f64) {
            None => Ok(None),
            Some(Some(number)) => Ok(Some(number)),
            Some(None) => Err(self.unsupported(name, "numbers")),
        }
    }

    pub(super) fn float(&self, name: &str) -> Result<f64, ModelError> {
        self.optional_float(name)?
            .ok_or_else(|| self.unsupported(name, "numbers"))
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ModelError> {
        match self.get(name).map(Value::as_bool) {
            None => Ok(default),
            Some(Some(flag)) => Ok(flag),
            Some(None) => Err(self.unsupported(name, "true, false")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }

    /// The shape of the model.
    pub(crate) fn configuration(&self) -> Result<Configuration, ModelError> {
        let model_type = self.text("model_type").unwrap_or_default();
        if !ARCHITECTURES.split(", ").any(|known| known == model_type) {
            return Err(self.unsupported("model_type", ARCHITECTURES));
        }
        if model_type.starts_with("gemma") {
            return self.gemma(model_type);
        }
        // `swish` is another name of the same function.
        let activation = self.text("hidden_act").unwrap_or("silu");
        if !["silu", "swish"].contains(&activation) {
            return Err(self.unsupported("hidden_act", "silu, swish"));
        }
        if self.flag("use_sliding_window", false)? {
            return Err(self.unsupported("use_sliding_window", "false"));
        }
        let hidden_size = self.size("hidden_size")?;
        let num_attention_heads = self.size("num_attention_heads")?;
        let num_key_value_heads = self
            .optional_size("num_key_value_heads")?
            .unwrap_or(num_attention_heads);
        if num_attention_heads % num_key_value_heads != 0 {
            return Err(self.unsupported("num_key_value_heads", "divisors of num_attention_heads"));
        }
        let default_head_dim = if model_type == "qwen3" {
            128
        } else {
            hidden_size / num_attention_heads
        };
        let latent_attention = match model_type {
            "deepseek_v3" => Some(self.latent_attention()?),
            _ => None,
        };
        let num_hidden_layers = self.size("num_hidden_layers")?;
        self.check_layers(num_hidden_layers)?;
        let (rope_theta, rope_scaling) = self.rope()?;
        let configuration = Configuration {
            model_type: model_type.to_owned(),
            vocab_size: self.size("vocab_size")?,
            hidden_size,
            intermediate_size: self.size("intermediate_size")?,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            head_dim: self.optional_size("head_dim")?.unwrap_or(default_head_dim),
            max_position_embeddings: self.size("max_position_embeddings")? as usize,
            rms_norm_eps: self.optional_float("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta,
            rope_scaling,
            tie_word_embeddings: self.flag("tie_word_embeddings", false)?,
            attention_bias: self.flag("attention_bias", false)?,
            mlp_bias: self.flag("mlp_bias", false)?,
            qk_norm: model_type.starts_with("qwen3"),
            latent_attention,
            moe: match model_type {
                "qwen3_moe" => self.softmax_experts(num_hidden_layers)?,
                "deepseek_v3" => self.sigmoid_experts(num_hidden_layers)?,
                _ => None,
            },
            variations: Variations::default(),
        };
        if configuration.rotary_dim() <= 0 || configuration.rotary_dim() % 2 != 0 {
            return Err(self.unsupported("head_dim", "even sizes"));
        }
        Ok(configuration)
    }

    /// Base and scaling of the rotary frequencies, from `rope_parameters` (`transformers` 5) or from
    /// `rope_theta` and `rope_scaling`.
    pub(super) fn rope(&self) -> Result<(f64, RopeScaling), ModelError> {
        let base = self.optional_float("rope_theta")?.unwrap_or(10_000.0);
        // Model cards tell users to add `rope_scaling`, also to files that have `rope_parameters`
        // already; `transformers` then takes the former.
        let nested = self
            .get("rope_scaling")
            .or_else(|| self.get("rope_parameters"));
        match nested {
            None => Ok((base, RopeScaling::Default)),
            Some(nested) => self.rope_parameters(nested, base),
        }
    }

    /// Base and scaling of the rotary frequencies from the object `nested`; `default_base` is the
    /// base if it has none.
    pub(super) fn rope_parameters(
        &self,
        nested: &Value,
        default_base: f64,
    ) -> Result<(f64, RopeScaling), ModelError> {
        let rope = ConfigJson::new(self.path, nested);
        let base = rope.optional_float("rope_theta")?.unwrap_or(default_base);
        // The field of the whole configuration has precedence, as in `transformers`.
        const ORIGINAL: &str = "original_max_position_embeddings";
        let original = || match (
            self.optional_float(ORIGINAL)?,
            rope.optional_float(ORIGINAL)?,
        ) {
            (Some(original), _) | (None, Some(original)) => Ok(original),
            (None, None) => self.float("max_position_embeddings"),
        };
        let kind = rope.text("rope_type").or_else(|| rope.text("type"));
        let scaling = match kind.unwrap_or("default") {
            "default" => RopeScaling::Default,
            // `DeepseekV3Attention` also changes the scale of its scores then.
            "linear" if rope.optional_float("mscale_all_dim")?.unwrap_or(0.0) != 0.0 => {
                return Err(rope.unsupported("mscale_all_dim", "null beside linear scaling"));
            }
            "linear" => RopeScaling::Linear {
                factor: rope.float("factor")?,
            },
            "llama3" => RopeScaling::Llama3 {
                factor: rope.float("factor")?,
                low_freq_factor: rope.float("low_freq_factor")?,
                high_freq_factor: rope.float("high_freq_factor")?,
                original_max_position_embeddings: original()?,
            },
            "yarn" => RopeScaling::Yarn(Yarn {
                factor: rope.float("factor")?,
                beta_fast: rope.optional_float("beta_fast")?.unwrap_or(32.0),
                beta_slow: rope.optional_float("beta_slow")?.unwrap_or(1.0),
                original_max_position_embeddings: original()?,
                truncate: rope.flag("truncate", true)?,
                attention_factor: rope.optional_float("attention_factor")?,
                mscale: rope.optional_float("mscale")?,
                mscale_all_dim: rope.optional_float("mscale_all_dim")?,
            }),
            "proportional" => RopeScaling::Proportional {
                partial_rotary_factor: rope.optional_float("partial_rotary_factor")?.unwrap_or(1.0),
                factor: rope.optional_float("factor")?.unwrap_or(1.0),
            },
            _ => {
                let supported = "default, linear, llama3, yarn, proportional";
                return Err(rope.unsupported("rope_type", supported));
            }
        };
        Ok((base, scaling))
    }

    fn latent_attention(&self) -> Result<LatentAttention, ModelError> {
        Ok(LatentAttention {
            q_lora_rank: self.optional_size("q_lora_rank")?,
            kv_lora_rank: self.size("kv_lora_rank")?,
            qk_nope_head_dim: self.size("qk_nope_head_dim")?,
            qk_rope_head_dim: self.size("qk_rope_head_dim")?,
            v_head_dim: self.size("v_head_dim")?,
            rope_interleave: self.flag("rope_interleave", true)?,
        })
    }

    /// Qwen3-MoE's experts.
    fn softmax_experts(&self, layers: i64) -> Result<Option<MixtureOfExperts>, ModelError> {
        let count = match self.optional_size("num_experts")? {
            Some(count) => count,
            None => self.size("num_local_experts")?,
        };
        let step = self.optional_size("decoder_sparse_step")?.unwrap_or(1);
        let dense: Vec<i64> = match self.get("mlp_only_layers").map(Value::as_array) {
            None => vec![],
            Some(Some(layers)) => layers.iter().filter_map(Value::as_i64).collect(),
            Some(None) => return Err(self.unsupported("mlp_only_layers", "lists of layers")),
        };
        let per_token = self.size("num_experts_per_tok")?;
        if per_token > count {
            return Err(self.unsupported("num_experts_per_tok", "at most num_experts"));
        }
        let has_experts = |layer: &i64| !dense.contains(layer) && (layer + 1) % step == 0;
        Ok(Some(MixtureOfExperts {
            num_experts: count,
            num_experts_per_tok: per_token,
            moe_intermediate_size: self.size("moe_intermediate_size")?,
            shared_expert_intermediate_size: 0,
            norm_topk_prob: self.flag("norm_topk_prob", false)?,
            scoring: Scoring::Softmax,
            layers: (0..layers).filter(has_experts).collect(),
            beside_mlp: false,
        }))
    }

    /// DeepSeek-V3's experts.
    fn sigmoid_experts(&self, layers: i64) -> Result<Option<MixtureOfExperts>, ModelError> {
        let count = self.size("n_routed_experts")?;
        let per_token = self.size("num_experts_per_tok")?;
        let (n_group, topk_group) = (self.size("n_group")?, self.size("topk_group")?);
        if count % n_group != 0 || count / n_group < 2 {
            return Err(self.unsupported("n_group", "groups of two experts or more"));
        }
        if topk_group > n_group {
            return Err(self.unsupported("topk_group", "at most n_group"));
        }
        if per_token > count {
            return Err(self.unsupported("num_experts_per_tok", "at most n_routed_experts"));
        }
        let width = self.size("moe_intermediate_size")?;
        let dense = match self.get("first_k_dense_replace").map(Value::as_i64) {
            Some(Some(dense)) if dense >= 0 => dense,
            _ => return Err(self.unsupported("first_k_dense_replace", "numbers of layers")),
        };
        Ok(Some(MixtureOfExperts {
            num_experts: count,
            num_experts_per_tok: per_token,
            moe_intermediate_size: width,
            shared_expert_intermediate_size: width
                * self.optional_count("n_shared_experts")?.unwrap_or(1),
            norm_topk_prob: self.flag("norm_topk_prob", true)?,
            scoring: Scoring::Sigmoid {
                n_group,
                topk_group,
                routed_scaling_factor: self.float("routed_scaling_factor")?,
            },
            layers: (dense..layers).collect(),
            beside_mlp: false,
        }))
    }
}
