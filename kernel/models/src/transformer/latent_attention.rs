//! The projections of multi-head latent attention (<https://arxiv.org/abs/2405.04434>), after
//! `DeepseekV3Attention` of `transformers`.

use tch::{TchError, Tensor};

use super::linear::Linear;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::rope::Rotation;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;
use crate::configuration::LatentAttention;

/// Epsilon of the norms of latent vectors: the default of `DeepseekV3RMSNorm`, which ignores
/// `rms_norm_eps` here.
const LATENT_NORM_EPSILON: f64 = 1e-6;

/// Queries, keys and values by way of small latent vectors.
pub(super) struct LatentQkv {
    shape: LatentAttention,
    num_heads: i64,
    query: Query,
    /// To the latent vector of keys and values, and the part of the keys that is rotated.
    kv_a_proj_with_mqa: Linear,
    kv_a_layernorm: RmsNorm,
    /// To the rest of the keys and the values, head by head.
    kv_b_proj: Linear,
}

enum Query {
    Direct {
        q_proj: Linear,
    },
    Latent {
        q_a_proj: Linear,
        q_a_layernorm: RmsNorm,
        q_b_proj: Linear,
    },
}

impl LatentQkv {
    pub(super) fn load(weights: &Weights, shape: &LatentAttention) -> Result<Self, ModelError> {
        let configuration = weights.configuration;
        let hidden = configuration.hidden_size;
        let num_heads = configuration.num_attention_heads;
        let bias = configuration.attention_bias;
        let norm =
            |name: &str, size| weights.rms_norm_with_epsilon(name, size, LATENT_NORM_EPSILON);
        let query_size = num_heads * (shape.qk_nope_head_dim + shape.qk_rope_head_dim);
        let query = match shape.q_lora_rank {
            None => Query::Direct {
                q_proj: weights.linear("q_proj", hidden, query_size, false)?,
            },
            Some(rank) => Query::Latent {
                q_a_proj: weights.linear("q_a_proj", hidden, rank, bias)?,
                q_a_layernorm: norm("q_a_layernorm", rank)?,
                q_b_proj: weights.linear("q_b_proj", rank, query_size, false)?,
            },
        };
        let rank = shape.kv_lora_rank;
        let latent_and_rotated = rank + shape.qk_rope_head_dim;
        let key_value_size = num_heads * (shape.qk_nope_head_dim + shape.v_head_dim);
        Ok(Self {
            shape: *shape,
            num_heads,
            query,
            kv_a_proj_with_mqa: weights.linear(
                "kv_a_proj_with_mqa",
                hidden,
                latent_and_rotated,
                bias,
            )?,
            kv_a_layernorm: norm("kv_a_layernorm", rank)?,
            kv_b_proj: weights.linear("kv_b_proj", rank, key_value_size, false)?,
        })
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        let mut linears = match &self.query {
            Query::Direct { q_proj } => vec![q_proj],
            Query::Latent {
                q_a_proj, q_b_proj, ..
            } => vec![q_a_proj, q_b_proj],
        };
        linears.extend([&self.kv_a_proj_with_mqa, &self.kv_b_proj]);
        linears
    }

    /// The weights outside the linear layers.
    pub(super) fn parameters(&self) -> Vec<&Parameter> {
        let query_norm = match &self.query {
            Query::Direct { .. } => None,
            Query::Latent { q_a_layernorm, .. } => q_a_layernorm.weight(),
        };
        let norm = self.kv_a_layernorm.weight();
        norm.into_iter().chain(query_norm).collect()
    }

    /// Queries and keys, `[tokens, heads, nope + rope]`, and values, `[tokens, heads, v_head_dim]`,
    /// of `x`, `[tokens, hidden]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rotation: &Rotation,
        adapters: &Adapters,
    ) -> Result<[Tensor; 3], TchError> {
        let LatentAttention {
            kv_lora_rank,
            qk_nope_head_dim: nope,
            qk_rope_head_dim: rope,
            v_head_dim,
            rope_interleave,
            ..
        } = self.shape;
        let rotate = |x: &Tensor| {
            if rope_interleave {
                rotation.apply_interleaved(x)
            } else {
                rotation.apply(x)
            }
        };
        let queries = self.query.forward(x, adapters)?;
        let queries = queries.f_view([-1, self.num_heads, nope + rope])?;
        let queries = queries.f_split_with_sizes([nope, rope], -1)?;
        let queries = Tensor::f_cat(&[&queries[0], &rotate(&queries[1])?], -1)?;

        let compressed = self.kv_a_proj_with_mqa.forward(x, adapters)?;
        let compressed = compressed.f_split_with_sizes([kv_lora_rank, rope], -1)?;
        // One rotated part for all heads: [tokens, 1, rope]
        let rotated_key = rotate(&compressed[1].f_unsqueeze(1)?)?;
        let latent = self.kv_a_layernorm.forward(&compressed[0])?;
        let key_values = self.kv_b_proj.forward(&latent, adapters)?;
        let key_values = key_values.f_view([-1, self.num_heads, nope + v_head_dim])?;
        let key_values = key_values.f_split_with_sizes([nope, v_head_dim], -1)?;
        let rotated_key = rotated_key.f_expand([-1, self.num_heads, rope], false)?;
        let keys = Tensor::f_cat(&[&key_values[0], &rotated_key], -1)?;
        Ok([queries, keys, key_values[1].shallow_clone()])
    }
}

impl Query {
    /// `x` is `[tokens, hidden]`, the result `[tokens, heads * (nope + rope)]`.
    fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        match self {
            Self::Direct { q_proj } => q_proj.forward(x, adapters),
            Self::Latent {
                q_a_proj,
                q_a_layernorm,
                q_b_proj,
            } => {
                let latent = q_a_layernorm.forward(&q_a_proj.forward(x, adapters)?)?;
                q_b_proj.forward(&latent, adapters)
            }
        }
    }
}
