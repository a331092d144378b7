//! The shape of a model, whatever file it was read from.

use serde::{Deserialize, Serialize};

/// The shape of a decoder-only transformer.
///
/// Fields are named as in Hugging Face's `config.json` wherever the architectures agree on a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The architecture, as the file names it: `llama`, `qwen3`, `qwen3_moe`, `deepseek_v3`,
    /// `gemma2`, `gemma3_text` or `gemma4_text`.
    pub model_type: String,
    /// Tokens in the vocabulary.
    pub vocab_size: i64,
    /// Width of the residual stream.
    pub hidden_size: i64,
    /// Width of the MLP in layers without experts.
    pub intermediate_size: i64,
    /// Decoder layers.
    pub num_hidden_layers: i64,
    /// Query heads.
    pub num_attention_heads: i64,
    /// Key and value heads; divides the number of query heads.
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
    /// Whether the output layer shares the embedding's weight.
    pub tie_word_embeddings: bool,
    /// Whether the projections of attention add a bias.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether the projections of the MLP add a bias.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Whether query and key heads are normalised before they are rotated (`q_norm`, `k_norm`).
    #[serde(default, rename = "query_key_norm")]
    pub qk_norm: bool,
    /// Multi-head latent attention in place of grouped-query attention.
    #[serde(default, rename = "latent")]
    pub latent_attention: Option<LatentAttention>,
    /// A mixture of experts in place of the MLP of some layers.
    #[serde(default, rename = "experts")]
    pub moe: Option<MixtureOfExperts>,
    /// Smaller departures from Llama's layers; by default there are none.
    #[serde(default)]
    pub variations: Variations,
}

/// Smaller departures from Llama's layers, all of them Gemma's; by default there are none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Variations {
    /// The nonlinearity of the MLP.
    #[serde(rename = "activation")]
    pub hidden_activation: Activation,
    /// Whether norms multiply by `1 + weight`, so that the checkpoint's weights are centred on zero.
    #[serde(rename = "norms_less_one")]
    pub zero_centered_norms: bool,
    /// Whether the outputs of attention and MLP are normalised too, before they are added.
    pub sandwich_norms: bool,
    /// Whether embeddings are multiplied by the square root of the hidden size.
    pub scaled_embedding: bool,
    /// Factor of the attention scores in place of `1 / sqrt(head_dim)`.
    #[serde(rename = "attention_factor")]
    pub attention_scaling: Option<f64>,
    /// `c` of `c * tanh(scores / c)` for the attention scores.
    pub attn_logit_softcapping: Option<f64>,
    /// `c` of `c * tanh(logits / c)` for the final logits.
    pub final_logit_softcapping: Option<f64>,
    /// Whether value heads are normalised, without a weight (`v_norm`).
    #[serde(rename = "value_norm")]
    pub v_norm: bool,
    /// Whether full-attention layers use their keys, before norm and rotation, as values.
    pub attention_k_eq_v: bool,
    /// Layers with sliding-window attention, with heads of their own shape.
    #[serde(rename = "local")]
    pub sliding_attention: Option<SlidingAttention>,
    /// How many of the last layers attend to the keys and values of an earlier layer.
    pub num_kv_shared_layers: i64,
    /// Whether the MLPs of those layers are twice as wide.
    pub use_double_wide_mlp: bool,
    /// A second, small embedding of which every layer reads a part of its own.
    pub per_layer_input: Option<PerLayerInput>,
    /// Whether the output of every layer is multiplied by a learned number.
    pub layer_scalar: bool,
}

/// The nonlinearity of an MLP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(x)`
    #[default]
    Silu,
    /// The tanh approximation of GELU (<https://arxiv.org/abs/1606.08415>).
    GeluTanh,
}

/// The layers with sliding-window attention. The heads and rotary frequencies of [`Configuration`]
/// are those of the other layers, which attend to the full context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlidingAttention {
    /// Tokens that a token attends to, itself included.
    #[serde(rename = "window")]
    pub sliding_window: i64,
    /// The layers, counted from 0.
    pub layers: Vec<i64>,
    /// Size of their heads.
    pub head_dim: i64,
    /// Their key and value heads.
    pub num_key_value_heads: i64,
    /// Base of their rotary frequencies.
    pub rope_theta: f64,
    /// How their rotary frequencies are stretched.
    pub rope_scaling: RopeScaling,
}

/// The shape of Gemma 4's second embedding, of which every layer reads a part of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerLayerInput {
    /// Tokens in its vocabulary.
    #[serde(rename = "vocab_size")]
    pub vocab_size_per_layer_input: i64,
    /// Size of one layer's part.
    #[serde(rename = "size")]
    pub hidden_size_per_layer_input: i64,
}

/// How rotary frequencies are stretched to a longer context than the model was pretrained on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rope_type", rename_all = "lowercase")]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    Default,
    /// All frequencies are divided by one factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3.1: only wavelengths that are long compared to the original context are stretched.
    Llama3 {
        /// The factor of the longest wavelengths.
        factor: f64,
        /// Wavelengths with at most this many periods in the original context are stretched fully.
        low_freq_factor: f64,
        /// Wavelengths with at least this many periods in the original context stay unchanged.
        high_freq_factor: f64,
        /// Tokens of the context before stretching.
        original_max_position_embeddings: f64,
    },
    /// YaRN (<https://arxiv.org/abs/2309.00071>).
    Yarn(Yarn),
    /// Only the highest frequencies of a head rotate (Gemma 4).
    Proportional {
        /// The share of a head that rotates.
        partial_rotary_factor: f64,
        /// The divisor of the frequencies that rotate.
        factor: f64,
    },
}

/// The parameters of YaRN.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Yarn {
    /// The factor of the longest wavelengths.
    pub factor: f64,
    /// Frequencies with at least this many rotations in the original context stay unchanged.
    pub beta_fast: f64,
    /// Frequencies with at most this many rotations in the original context are divided by the
    /// factor.
    pub beta_slow: f64,
    /// Tokens of the context before stretching.
    pub original_max_position_embeddings: f64,
    /// Whether the ends of the ramp between the two are rounded to whole pairs.
    pub truncate: bool,
    /// Factor of cosines and sines, if the file gives it.
    pub attention_factor: Option<f64>,
    /// Coefficient of the logarithm in the factor of cosines and sines.
    pub mscale: Option<f64>,
    /// Coefficient of the logarithm in the factor of the attention scores.
    pub mscale_all_dim: Option<f64>,
}

/// The shape of multi-head latent attention (<https://arxiv.org/abs/2405.04434>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatentAttention {
    /// Size of the latent vector of the queries; absent if queries are projected directly.
    pub q_lora_rank: Option<i64>,
    /// Size of the latent vector of keys and values.
    pub kv_lora_rank: i64,
    /// Elements of a query or key head that are not rotated.
    pub qk_nope_head_dim: i64,
    /// Elements of a query or key head that are rotated; all key heads share them.
    pub qk_rope_head_dim: i64,
    /// Size of a value head.
    pub v_head_dim: i64,
    /// Whether the two elements that rotate together are neighbours.
    pub rope_interleave: bool,
}

/// A mixture of experts, among which a router chooses for each token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MixtureOfExperts {
    /// Experts of a layer.
    #[serde(rename = "count")]
    pub num_experts: i64,
    /// Experts that are chosen for a token.
    #[serde(rename = "per_token")]
    pub num_experts_per_tok: i64,
    /// Width of an expert.
    #[serde(rename = "intermediate_size")]
    pub moe_intermediate_size: i64,
    /// Width of the shared expert, which every token goes through; 0 if there is none.
    #[serde(rename = "shared_intermediate_size")]
    pub shared_expert_intermediate_size: i64,
    /// Whether the weights of the chosen experts are normalised to sum to one.
    pub norm_topk_prob: bool,
    /// How the router scores experts.
    pub scoring: Scoring,
    /// Layers that have experts, counted from 0.
    pub layers: Vec<i64>,
    /// Whether those layers also have an MLP beside the experts, each with norms of its own
    /// (Gemma 4).
    #[serde(default)]
    pub beside_mlp: bool,
}

/// How a router turns its logits into choices and weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scoring {
    /// The highest probabilities (Qwen3-MoE).
    Softmax,
    /// The highest probabilities of the normalised, scaled input, times a learned factor per expert
    /// (Gemma 4).
    NormedSoftmax,
    /// The highest sigmoids within the best groups of experts, plus a bias that affects the choice
    /// only (DeepSeek-V3).
    Sigmoid {
        /// Groups of neighbouring experts.
        n_group: i64,
        /// Groups that a token may choose from. A group's score is the sum of its two best experts.
        topk_group: i64,
        /// Factor of the weights.
        routed_scaling_factor: f64,
    },
}

/// The key and value heads of one layer, as attention uses them and the cache stores them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KvHeads {
    pub(crate) count: i64,
    /// Size of a key, and of a query.
    pub(crate) key_dim: i64,
    pub(crate) value_dim: i64,
}

impl Configuration {
    /// The key and value heads of `layer`.
    pub(crate) fn kv_heads(&self, layer: i64) -> KvHeads {
        match (&self.latent_attention, self.sliding_attention(layer)) {
            (Some(latent), _) => KvHeads {
                count: self.num_attention_heads,
                key_dim: latent.qk_nope_head_dim + latent.qk_rope_head_dim,
                value_dim: latent.v_head_dim,
            },
            (None, Some(sliding)) => KvHeads {
                count: sliding.num_key_value_heads,
                key_dim: sliding.head_dim,
                value_dim: sliding.head_dim,
            },
            (None, None) => KvHeads {
                count: self.num_key_value_heads,
                key_dim: self.head_dim,
                value_dim: self.head_dim,
            },
        }
    }

    /// The layer whose keys and values `layer` attends to: itself, or the last layer of the same
    /// attention type that computes its own. None if there is no such layer.
    pub(crate) fn kv_source_layer(&self, layer: i64) -> Option<i64> {
        let first_shared = self.num_hidden_layers - self.variations.num_kv_shared_layers;
        if layer < first_shared {
            return Some(layer);
        }
        let slides = |layer: i64| self.sliding_attention(layer).is_some();
        (0..first_shared)
            .rev()
            .find(|&earlier| slides(earlier) == slides(layer))
    }

    /// The sliding-window attention of `layer`; none if it attends to the full context.
    pub(crate) fn sliding_attention(&self, layer: i64) -> Option<&SlidingAttention> {
        let sliding = self.variations.sliding_attention.as_ref();
        sliding.filter(|sliding| sliding.layers.contains(&layer))
    }

    /// Elements of a head that are rotated in full-attention layers.
    pub(crate) fn rotary_dim(&self) -> i64 {
        self.latent_attention
            .as_ref()
            .map_or(self.head_dim, |latent| latent.qk_rope_head_dim)
    }
}
