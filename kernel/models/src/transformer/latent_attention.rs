//! The projections of multi-head latent attention (<https://arxiv.org/abs/2405.04434>).

use tch::{TchError, Tensor};

use super::linear::Linear;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::rope::Rotation;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;
use crate::configuration::LatentAttention;

/// Epsilon of the norms inside: `transformers` leaves them at their own default.
const EPSILON: f64 = 1e-6;

/// Queries, keys and values by way of small vectors.
pub(super) struct LatentProjection {
    shape: LatentAttention,
    heads: i64,
    query: Query,
    /// To the small vector and the part of the keys that is rotated.
    down: Linear,
    norm: RmsNorm,
    /// To the keys' other part and the values, head by head.
    up: Linear,
}

enum Query {
    Direct(Linear),
    Latent {
        down: Linear,
        norm: RmsNorm,
        up: Linear,
    },
}

impl LatentProjection {
    pub(super) fn load(
        weights: &Weights,
        shape: &LatentAttention,
        prefix: &str,
    ) -> Result<Self, ModelError> {
        let configuration = weights.configuration;
        let (hidden, heads) = (configuration.hidden_size, configuration.num_attention_heads);
        let bias = configuration.attention_bias;
        let queries = heads * (shape.qk_nope_head_dim + shape.qk_rope_head_dim);
        let linear =
            |name, inputs, outputs, bias| weights.linear(prefix, &[(name, inputs, outputs)], bias);
        let norm = |name: &str, size| {
            weights.norm_with_epsilon(&format!("{prefix}.{name}"), size, EPSILON)
        };
        let query = match shape.q_lora_rank {
            None => Query::Direct(linear("q_proj", hidden, queries, false)?),
            Some(rank) => Query::Latent {
                down: linear("q_a_proj", hidden, rank, bias)?,
                norm: norm("q_a_layernorm", rank)?,
                up: linear("q_b_proj", rank, queries, false)?,
            },
        };
        let rank = shape.kv_lora_rank;
        let rotated = rank + shape.qk_rope_head_dim;
        let outputs = heads * (shape.qk_nope_head_dim + shape.v_head_dim);
        Ok(Self {
            shape: *shape,
            heads,
            query,
            down: linear("kv_a_proj_with_mqa", hidden, rotated, bias)?,
            norm: norm("kv_a_layernorm", rank)?,
            up: linear("kv_b_proj", rank, outputs, false)?,
        })
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        let mut linears = match &self.query {
            Query::Direct(linear) => vec![linear],
            Query::Latent { down, up, .. } => vec![down, up],
        };
        linears.extend([&self.down, &self.up]);
        linears
    }

    pub(super) fn norm_weights(&self) -> Vec<&Parameter> {
        let query_norm = match &self.query {
            Query::Direct(_) => None,
            Query::Latent { norm, .. } => norm.weight(),
        };
        self.norm.weight().into_iter().chain(query_norm).collect()
    }

    /// Queries and keys, `[tokens, heads, nope + rope]`, and values, `[tokens, heads, value]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rotation: &Rotation,
        adapters: &Adapters,
    ) -> Result<[Tensor; 3], TchError> {
        let LatentAttention {
            kv_lora_rank,
            qk_nope_head_dim: plain,
            qk_rope_head_dim: rotated,
            v_head_dim,
            rope_interleave,
            ..
        } = self.shape;
        let rotate = |x: &Tensor| match rope_interleave {
            true => rotation.apply_interleaved(x),
            false => rotation.apply(x),
        };
        let queries = self.query.forward(x, adapters)?;
        let queries = queries.f_view([-1, self.heads, plain + rotated])?;
        let queries = queries.f_split_with_sizes([plain, rotated], -1)?;
        let queries = Tensor::f_cat(&[&queries[0], &rotate(&queries[1])?], -1)?;

        let down = self.down.forward_one(x, adapters)?;
        let down = down.f_split_with_sizes([kv_lora_rank, rotated], -1)?;
        let shared = rotate(&down[1].f_unsqueeze(1)?)?;
        let up = self
            .up
            .forward_one(&self.norm.forward(&down[0])?, adapters)?;
        let up = up.f_view([-1, self.heads, plain + v_head_dim])?;
        let up = up.f_split_with_sizes([plain, v_head_dim], -1)?;
        let shared = shared.f_expand([-1, self.heads, rotated], false)?;
        let keys = Tensor::f_cat(&[&up[0], &shared], -1)?;
        Ok([queries, keys, up[1].shallow_clone()])
    }
}

impl Query {
    fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        match self {
            Self::Direct(linear) => linear.forward_one(x, adapters),
            Self::Latent { down, norm, up } => {
                let latent = norm.forward(&down.forward_one(x, adapters)?)?;
                up.forward_one(&latent, adapters)
            }
        }
    }
}
