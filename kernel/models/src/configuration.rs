//! What a model is made of, whatever file it came from.

use serde::{Deserialize, Serialize};

/// The shape of a decoder-only transformer, with the field names of Hugging Face's `config.json`
/// where all architectures agree on one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The architecture, as the file names it: `llama`, `qwen3`, `qwen3_moe` or `deepseek_v3`.
    pub model_type: String,
    /// Tokens in the vocabulary.
    pub vocab_size: i64,
    /// Width of the residual stream.
    pub hidden_size: i64,
    /// Width of the MLP of a layer without experts.
    pub intermediate_size: i64,
    /// Decoder layers.
    pub num_hidden_layers: i64,
    /// Query heads.
    pub num_attention_heads: i64,
    /// Key and value heads; a divisor of the query heads.
    pub num_key_value_heads: i64,
    /// Size of a head.
    pub head_dim: i64,
    /// Tokens in the context.
    pub max_position_embeddings: usize,
    /// Added to the mean square in every RMS norm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are stretched to a longer context.
    #[serde(default)]
    pub rope_scaling: RopeScaling,
    /// Whether the output layer is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether the projections of attention add a bias.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether the projections of the MLP add a bias.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Whether each query and key head is normalised before it is rotated.
    #[serde(default)]
    pub query_key_norm: bool,
    /// Attention through a latent vector in place of grouped-query attention.
    #[serde(default)]
    pub latent: Option<LatentAttention>,
    /// Experts in place of the MLP of some layers.
    #[serde(default)]
    pub experts: Option<Experts>,
}

/// How rotary frequencies are stretched to a longer context than the model was pretrained on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rope_type", rename_all = "lowercase")]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    Default,
    /// All frequencies divided by one factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3.1: only wavelengths that the original context does not hold are stretched.
    Llama3 {
        /// The factor of the longest wavelengths.
        factor: f64,
        /// Periods within the original context at and below which a wavelength is stretched in full.
        low_freq_factor: f64,
        /// Periods within the original context from which on a wavelength is left alone.
        high_freq_factor: f64,
        /// Tokens of the context before stretching.
        original_max_position_embeddings: f64,
    },
    /// YaRN (<https://arxiv.org/abs/2309.00071>).
    Yarn(Yarn),
}

/// The parameters of YaRN.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Yarn {
    /// The factor of the longest wavelengths.
    pub factor: f64,
    /// Rotations within the original context from which on a frequency is left alone.
    pub beta_fast: f64,
    /// Rotations at and below which a frequency is divided by the factor.
    pub beta_slow: f64,
    /// Tokens of the context before stretching.
    pub original_max_position_embeddings: f64,
    /// Whether the bounds of the ramp are rounded to whole pairs.
    pub truncate: bool,
    /// Factor of cosines and sines where the file gives it.
    pub attention_factor: Option<f64>,
    /// Weight of the logarithm in the factor of cosines and sines.
    pub mscale: Option<f64>,
    /// Weight of the logarithm in the factor of the attention's logits.
    pub mscale_all_dim: Option<f64>,
}

/// The shape of multi-head latent attention (<https://arxiv.org/abs/2405.04434>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatentAttention {
    /// Size of the vector from which queries are made; absent where they are made of the input.
    pub q_lora_rank: Option<i64>,
    /// Size of the vector from which keys and values are made.
    pub kv_lora_rank: i64,
    /// Numbers of a query or key head that are not rotated.
    pub qk_nope_head_dim: i64,
    /// Numbers of a query or key head that are rotated; keys share them between heads.
    pub qk_rope_head_dim: i64,
    /// Size of a value head.
    pub v_head_dim: i64,
    /// Whether the two numbers that rotate together are neighbours.
    pub rope_interleave: bool,
}

/// Experts among which a router chooses for each token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experts {
    /// Experts of a layer.
    pub count: i64,
    /// Experts that a token goes to.
    pub per_token: i64,
    /// Width of an expert.
    pub intermediate_size: i64,
    /// Width of the expert that every token goes to; 0 where there is none.
    pub shared_intermediate_size: i64,
    /// Whether the weights of the chosen experts are made to sum to one.
    pub norm_topk_prob: bool,
    /// How the router scores experts.
    pub scoring: Scoring,
    /// Layers that have experts, counted from 0.
    pub layers: Vec<i64>,
}

/// How a router turns its logits into choices and weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scoring {
    /// The highest probabilities (Qwen3-MoE).
    Softmax,
    /// The highest sigmoids, plus a bias that only chooses, within the best groups of experts
    /// (DeepSeek-V3).
    Sigmoid {
        /// Groups of neighbouring experts.
        n_group: i64,
        /// Groups that a token may choose from; their score is the sum of their two best experts.
        topk_group: i64,
        /// Factor of the weights.
        routed_scaling_factor: f64,
    },
}

impl Configuration {
    /// Heads, size of a key and size of a value as attention sees and keeps them.
    pub(crate) fn cached_heads(&self) -> (i64, i64, i64) {
        match &self.latent {
            None => (self.num_key_value_heads, self.head_dim, self.head_dim),
            Some(latent) => (
                self.num_attention_heads,
                latent.qk_nope_head_dim + latent.qk_rope_head_dim,
                latent.v_head_dim,
            ),
        }
    }

    /// Numbers of a head that are rotated.
    pub(crate) fn rotated(&self) -> i64 {
        self.latent
            .as_ref()
            .map_or(self.head_dim, |latent| latent.qk_rope_head_dim)
    }
}
