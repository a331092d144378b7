//! Attention: how queries, keys and values are made of a layer's input.

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

use super::ForwardPass;
use super::latent_attention::LatentProjection;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::rope::Rotation;
use super::sdpa::Sdpa;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;
use crate::configuration::RopeScaling;

/// Causal attention with its projections.
pub(super) struct Attention {
    projection: Projection,
    attend: Sdpa,
    /// The layer whose keys and values it attends to.
    source: i64,
    output: Linear,
    /// Whether a later layer attends to these keys and values.
    is_shared: bool,
}

enum Projection {
    Grouped(Box<GroupedProjection>),
    Latent(Box<LatentProjection>),
}

/// Groups of query heads share a key and value head (<https://arxiv.org/abs/2305.13245>).
struct GroupedProjection {
    /// Queries, and what of keys and values is projected.
    query_key_value: Linear,
    query_norm: Option<RmsNorm>,
    key_norm: Option<RmsNorm>,
    value_norm: Option<RmsNorm>,
    query_heads: i64,
    size: i64,
}

/// Keys and values that a later layer attends to as well, by their layer.
pub(super) type SharedKeyValues = BTreeMap<i64, [Tensor; 2]>;

impl Attention {
    /// Reads the attention of `layer`, named `prefix`, such as `model.layers.0.self_attn`; `slot`
    /// is its place in a cache.
    pub(super) fn load(
        weights: &Weights,
        layer: i64,
        slot: usize,
        prefix: &str,
    ) -> Result<Self, ModelError> {
        let configuration = weights.configuration;
        let heads = configuration.kv_heads(layer);
        let query_heads = configuration.num_attention_heads;
        // A configuration in which a layer has no source of keys is refused where it is read.
        let source = configuration.kv_source_layer(layer).unwrap_or(layer);
        let (projection, scale) = match &configuration.latent {
            None => (
                Projection::Grouped(Box::new(GroupedProjection::load(weights, layer, prefix)?)),
                configuration.variations.attention_factor,
            ),
            Some(latent) => {
                let factor = match configuration.rope_scaling {
                    RopeScaling::Yarn(yarn) => yarn.logit_factor(),
                    _ => 1.0,
                };
                let projection = LatentProjection::load(weights, latent, prefix)?;
                (
                    Projection::Latent(Box::new(projection)),
                    Some(factor / (heads.key_size as f64).sqrt()),
                )
            }
        };
        let output = [(
            "o_proj",
            query_heads * heads.value_size,
            configuration.hidden_size,
        )];
        let is_source =
            |later: i64| later != layer && configuration.kv_source_layer(later) == Some(layer);
        Ok(Self {
            projection,
            attend: Sdpa {
                slot,
                query_heads,
                key_value_heads: heads.heads,
                key_size: heads.key_size,
                value_size: heads.value_size,
                scale,
                softcap: configuration.variations.attn_logit_softcapping,
                window: configuration.local(layer).map(|local| local.window),
            },
            source,
            output: weights.linear(prefix, &output, configuration.attention_bias)?,
            is_shared: (layer..configuration.num_hidden_layers).any(is_source),
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
    pub(super) fn norm_weights(&self) -> Vec<&Parameter> {
        match &self.projection {
            Projection::Grouped(grouped) => {
                let norms = [&grouped.query_norm, &grouped.key_norm];
                norms
                    .into_iter()
                    .flatten()
                    .filter_map(RmsNorm::weight)
                    .collect()
            }
            Projection::Latent(latent) => latent.norm_weights(),
        }
    }

    /// `x`, and the result, are `[tokens, hidden]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rotation: &Rotation,
        shared: &mut SharedKeyValues,
        pass: &mut ForwardPass,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let [queries, keys, values] = match &self.projection {
            Projection::Grouped(grouped) => {
                let earlier = shared.get(&self.source);
                grouped.forward(x, earlier, rotation, adapters)?
            }
            Projection::Latent(latent) => latent.forward(x, rotation, adapters)?,
        };
        if self.is_shared {
            let kept = [keys.shallow_clone(), values.shallow_clone()];
            shared.insert(self.source, kept);
        }
        // Shared keys and values are written to the cache again, as they are, by every layer that
        // attends to them: no other layer has to know, and each stage has its own copy of them.
        let attended = self.attend.forward(pass, &queries, &keys, &values)?;
        self.output.forward_one(&attended, adapters)
    }
}

impl GroupedProjection {
    fn load(weights: &Weights, layer: i64, prefix: &str) -> Result<Self, ModelError> {
        let configuration = weights.configuration;
        let hidden = configuration.hidden_size;
        let query_heads = configuration.num_attention_heads;
        let heads = configuration.kv_heads(layer);
        let size = heads.key_size;
        let mut maps = vec![("q_proj", hidden, query_heads * size)];
        let has_keys = configuration.kv_source_layer(layer) == Some(layer);
        let values_are_keys =
            configuration.variations.attention_k_eq_v && configuration.local(layer).is_none();
        if has_keys {
            maps.push(("k_proj", hidden, heads.heads * size));
        }
        if has_keys && !values_are_keys {
            maps.push(("v_proj", hidden, heads.heads * size));
        }
        let norm = |name: &str, present: bool| match present && configuration.query_key_norm {
            true => weights.norm(&format!("{prefix}.{name}"), size).map(Some),
            false => Ok(None),
        };
        let normed_values = configuration.variations.value_norm && has_keys;
        Ok(Self {
            query_key_value: weights.linear(prefix, &maps, configuration.attention_bias)?,
            query_norm: norm("q_norm", true)?,
            key_norm: norm("k_norm", has_keys)?,
            value_norm: normed_values.then(|| weights.plain_norm(size)),
            query_heads,
            size,
        })
    }

    /// Queries, keys and values, each `[tokens, heads, size]`; `earlier` are those of the layer
    /// from which this one takes its keys and values, if it has none of its own.
    fn forward(
        &self,
        x: &Tensor,
        earlier: Option<&[Tensor; 2]>,
        rotation: &Rotation,
        adapters: &Adapters,
    ) -> Result<[Tensor; 3], TchError> {
        let projected = self.query_key_value.forward(x, adapters)?;
        let heads = |tensor: &Tensor| tensor.f_view([tensor.size()[0], -1, self.size]);
        let normed = |norm: &Option<RmsNorm>, heads: Tensor| match norm {
            Some(norm) => norm.forward(&heads),
            None => Ok(heads),
        };
        let queries = projected[0].f_view([-1, self.query_heads, self.size])?;
        let queries = rotation.apply(&normed(&self.query_norm, queries)?)?;
        let (keys, values) = match (projected.as_slice(), earlier) {
            ([_, keys, values], _) => (heads(keys)?, heads(values)?),
            ([_, keys], _) => (heads(keys)?, heads(keys)?),
            (_, Some([keys, values])) => {
                // They may be from another device.
                let here = queries.device();
                return Ok([queries, keys.f_to_device(here)?, values.f_to_device(here)?]);
            }
            (_, None) => {
                return Err(TchError::Shape(
                    "no layer has left keys and values".to_owned(),
                ));
            }
        };
        let keys = rotation.apply(&normed(&self.key_norm, keys)?)?;
        Ok([queries, keys, normed(&self.value_norm, values)?])
    }
}
