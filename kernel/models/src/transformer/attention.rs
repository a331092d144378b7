//! Attention: how queries, keys and values are made of a layer's input.

use tch::{TchError, Tensor};

use super::attend::Attend;
use super::latent::LatentProjection;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::parts::Parts;
use super::rope::Rotation;
use super::{Pass, Weight};
use crate::ModelError;
use crate::adapter::Adapters;
use crate::configuration::RopeScaling;

/// Causal attention with its projections.
pub(super) struct Attention {
    projection: Projection,
    attend: Attend,
    output: Linear,
}

enum Projection {
    Grouped(GroupedProjection),
    Latent(LatentProjection),
}

/// Groups of query heads share a key and value head (<https://arxiv.org/abs/2305.13245>).
struct GroupedProjection {
    query_key_value: Linear,
    /// Of each query head and each key head.
    norms: Option<[RmsNorm; 2]>,
    query_heads: i64,
    key_value_heads: i64,
    size: i64,
}

impl Attention {
    /// Reads the attention of `layer`, named `prefix`, such as `model.layers.0.self_attn`.
    pub(super) fn load(parts: &Parts, layer: usize, prefix: &str) -> Result<Self, ModelError> {
        let configuration = parts.configuration;
        let (key_value_heads, key_size, value_size) = configuration.cached_heads();
        let query_heads = configuration.num_attention_heads;
        let (projection, scale) = match &configuration.latent {
            None => (
                Projection::Grouped(GroupedProjection::load(parts, prefix)?),
                None,
            ),
            Some(latent) => {
                let factor = match configuration.rope_scaling {
                    RopeScaling::Yarn(yarn) => yarn.logit_factor(),
                    _ => 1.0,
                };
                let projection = LatentProjection::load(parts, latent, prefix)?;
                (
                    Projection::Latent(projection),
                    Some(factor / (key_size as f64).sqrt()),
                )
            }
        };
        let output = [(
            "o_proj",
            query_heads * value_size,
            configuration.hidden_size,
        )];
        Ok(Self {
            projection,
            attend: Attend {
                layer,
                query_heads,
                key_value_heads,
                key_size,
                value_size,
                scale,
            },
            output: parts.linear(prefix, &output, configuration.attention_bias)?,
        })
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        let mut linears = match &self.projection {
            Projection::Grouped(grouped) => vec![&grouped.query_key_value],
            Projection::Latent(latent) => latent.linears(),
        };
        linears.push(&self.output);
        linears
    }

    /// The weights that belong to no linear map.
    pub(super) fn norm_weights(&self) -> Vec<&Weight> {
        match &self.projection {
            Projection::Grouped(grouped) => {
                let norms = grouped.norms.iter().flatten();
                norms.map(|norm| &norm.weight).collect()
            }
            Projection::Latent(latent) => latent.norm_weights(),
        }
    }

    /// `x`, and the result, are `[tokens, hidden]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rotation: &Rotation,
        pass: &mut Pass,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let [queries, keys, values] = match &self.projection {
            Projection::Grouped(grouped) => grouped.forward(x, rotation, adapters)?,
            Projection::Latent(latent) => latent.forward(x, rotation, adapters)?,
        };
        let attended = self.attend.forward(pass, &queries, &keys, &values)?;
        self.output.forward_one(&attended, adapters)
    }
}

impl GroupedProjection {
    fn load(parts: &Parts, prefix: &str) -> Result<Self, ModelError> {
        let configuration = parts.configuration;
        let hidden = configuration.hidden_size;
        let query_heads = configuration.num_attention_heads;
        let key_value_heads = configuration.num_key_value_heads;
        let size = configuration.head_dim;
        let maps = [
            ("q_proj", hidden, query_heads * size),
            ("k_proj", hidden, key_value_heads * size),
            ("v_proj", hidden, key_value_heads * size),
        ];
        let norm = |name: &str| parts.norm(&format!("{prefix}.{name}"), size);
        let norms = match configuration.query_key_norm {
            true => Some([norm("q_norm")?, norm("k_norm")?]),
            false => None,
        };
        Ok(Self {
            query_key_value: parts.linear(prefix, &maps, configuration.attention_bias)?,
            norms,
            query_heads,
            key_value_heads,
            size,
        })
    }

    /// Queries, keys and values, each `[tokens, heads, size]`.
    fn forward(
        &self,
        x: &Tensor,
        rotation: &Rotation,
        adapters: &Adapters,
    ) -> Result<[Tensor; 3], TchError> {
        let projected = self.query_key_value.forward(x, adapters)?;
        let [queries, keys, values] = projected.as_slice() else {
            unreachable!("query_key_value is loaded with three maps")
        };
        let mut queries = queries.f_view([-1, self.query_heads, self.size])?;
        let mut keys = keys.f_view([-1, self.key_value_heads, self.size])?;
        let values = values.f_view([-1, self.key_value_heads, self.size])?;
        if let Some([query_norm, key_norm]) = &self.norms {
            queries = query_norm.forward(&queries)?;
            keys = key_norm.forward(&keys)?;
        }
        Ok([rotation.apply(&queries)?, rotation.apply(&keys)?, values])
    }
}
