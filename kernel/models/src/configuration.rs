//! What a model is made of, whatever file it came from.

use serde::{Deserialize, Serialize};

/// The shape of a decoder-only transformer, with the field names of Hugging Face's `config.json`
/// where all architectures agree on one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The architecture, as the file names it: `llama`, `qwen3`, `qwen3_moe`, `deepseek_v3`,
    /// `gemma2`, `gemma3_text` or `gemma4_text`.
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
    /// Where the model departs from Llama in smaller things; by default nowhere.
    #[serde(default)]
    pub variations: Variations,
}

/// Smaller departures from Llama's layers, all of them Gemma's; by default there is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Variations {
    /// What follows the gate of an MLP.
    pub activation: Activation,
    /// Whether the checkpoint has the weights of norms less one.
    pub norms_less_one: bool,
    /// Whether what attention and MLP give is normalised too, before it is added.
    pub sandwich_norms: bool,
    /// Whether embeddings are multiplied by the square root of their size.
    pub scaled_embedding: bool,
    /// Factor of the attention's logits in place of `1 / sqrt(head_dim)`.
    pub attention_factor: Option<f64>,
    /// `c` of `c * tanh(logits / c)` for the logits of attention.
    pub attn_logit_softcapping: Option<f64>,
    /// `c` of the final `c * tanh(logits / c)`.
    pub final_logit_softcapping: Option<f64>,
    /// Whether value heads are normalised, without a weight.
    pub value_norm: bool,
    /// Whether the values of layers that see everything are their keys before norm and rotation.
    pub attention_k_eq_v: bool,
    /// Layers that see only the last few tokens, with heads of their own shape.
    pub local: Option<LocalAttention>,
    /// How many of the last layers attend to the keys and values of an earlier layer.
    pub num_kv_shared_layers: i64,
    /// Whether the MLPs of those layers are twice as wide.
    pub use_double_wide_mlp: bool,
    /// A second, small embedding that every layer reads its own part of.
    pub per_layer_input: Option<PerLayerInput>,
    /// Whether the output of every layer is multiplied by a number.
    pub layer_scalar: bool,
}

/// The nonlinearity of an MLP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(x)`
    #[default]
    Silu,
    /// GELU (<https://arxiv.org/abs/1606.08415>) by its approximation with tanh.
    GeluTanh,
}

/// Layers that see only a window of tokens. The heads and rotary frequencies of [`Configuration`]
/// itself are those of the other layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalAttention {
    /// Tokens that a token sees, itself included.
    pub window: i64,
    /// The layers, counted from 0.
    pub layers: Vec<i64>,
    /// Size of their heads.
    pub head_dim: i64,
    /// Their key and value heads.
    pub num_key_value_heads: i64,
    /// Base of their rotary frequencies.
    pub rope_theta: f64,
    /// How those are stretched.
    pub rope_scaling: RopeScaling,
}

/// An embedding of which every layer reads its own part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerLayerInput {
    /// Tokens of its vocabulary.
    pub vocab_size: i64,
    /// Size of one layer's part.
    pub size: i64,
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
    /// Only the fastest frequencies of a head rotate (Gemma 4).
    Proportional {
        /// The share that rotates.
        partial_rotary_factor: f64,
        /// By what those are divided.
        factor: f64,
    },
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
    /// Whether those layers also have their MLP, beside the experts and with norms of its own
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
    /// The highest probabilities for the normalised, scaled input, and a factor of each expert
    /// (Gemma 4).
    NormedSoftmax,
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

/// The heads of one layer's keys and values, as attention sees them and a cache keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KvHeads {
    pub(crate) heads: i64,
    pub(crate) key_size: i64,
    pub(crate) value_size: i64,
}

impl Configuration {
    /// The heads of `layer`.
    pub(crate) fn kv_heads(&self, layer: i64) -> KvHeads {
        match (&self.latent, self.local(layer)) {
            (Some(latent), _) => KvHeads {
                heads: self.num_attention_heads,
                key_size: latent.qk_nope_head_dim + latent.qk_rope_head_dim,
                value_size: latent.v_head_dim,
            },
            (None, Some(local)) => KvHeads {
                heads: local.num_key_value_heads,
                key_size: local.head_dim,
                value_size: local.head_dim,
            },
            (None, None) => KvHeads {
                heads: self.num_key_value_heads,
                key_size: self.head_dim,
                value_size: self.head_dim,
            },
        }
    }

    /// The layer whose keys and values `layer` attends to: itself, or the last one of its kind
    /// that has some of its own. `None` if there is no such layer.
    pub(crate) fn kv_source_layer(&self, layer: i64) -> Option<i64> {
        let own = self.own_key_values();
        if layer < own {
            return Some(layer);
        }
        let is_local = self.local(layer).is_some();
        (0..own)
            .rev()
            .find(|&earlier| self.local(earlier).is_some() == is_local)
    }

    /// How the layer attends, if only to a window.
    pub(crate) fn local(&self, layer: i64) -> Option<&LocalAttention> {
        let local = self.variations.local.as_ref();
        local.filter(|local| local.layers.contains(&layer))
    }

    /// Numbers of a head that are rotated, in layers that see everything.
    pub(crate) fn rotary_dim(&self) -> i64 {
        self.latent
            .as_ref()
            .map_or(self.head_dim, |latent| latent.qk_rope_head_dim)
    }

    /// The first layers, which have keys and values of their own.
    fn own_key_values(&self) -> i64 {
        self.num_hidden_layers - self.variations.num_kv_shared_layers
    }
}
