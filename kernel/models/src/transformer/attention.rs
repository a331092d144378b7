//! Attention: from a layer's input to queries, keys and values, and back.

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

use super::forward_pass::ForwardPass;
use super::latent_attention::LatentQkv;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::rope::Rotation;
use super::sdpa::Sdpa;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;
use crate::configuration::RopeScaling;

/// Causal self-attention with its projections.
pub(super) struct Attention {
    qkv: Qkv,
    sdpa: Sdpa,
    o_proj: Linear,
    /// The layer whose keys and values this one attends to.
    kv_source_layer: i64,
    /// Whether a later layer attends to the keys and values of this one.
    is_kv_source: bool,
}

/// How queries, keys and values are computed.
enum Qkv {
    Grouped(Box<GroupedQkv>),
    Latent(Box<LatentQkv>),
}

/// Grouped-query attention: several query heads share a key and value head
/// (<https://arxiv.org/abs/2305.13245>).
struct GroupedQkv {
    /// `q_proj`, `k_proj` and `v_proj` fused. Layers that use another layer's keys and values have
    /// `q_proj` only; layers whose values are their keys have no `v_proj`.
    qkv_proj: Linear,
    q_norm: Option<RmsNorm>,
    k_norm: Option<RmsNorm>,
    v_norm: Option<RmsNorm>,
    num_heads: i64,
    head_dim: i64,
}

/// Keys and values that later layers attend to as well, by the layer that computed them.
pub(super) type SharedKeyValues = BTreeMap<i64, [Tensor; 2]>;

impl Attention {
    /// Reads the attention of `layer` at `weights`, such as `model.layers.0.self_attn`. Its keys and
    /// values are stored at `cache_layer` of the cache.
    pub(super) fn load(
        weights: &Weights,
        layer: i64,
        cache_layer: usize,
    ) -> Result<Self, ModelError> {
        let configuration = weights.configuration;
        let num_heads = configuration.num_attention_heads;
        let kv_heads = configuration.kv_heads(layer);
        let (qkv, scale) = match &configuration.latent_attention {
            None => (
                Qkv::Grouped(Box::new(GroupedQkv::load(weights, layer)?)),
                configuration.variations.attention_scaling,
            ),
            Some(latent) => {
                let yarn_factor = match configuration.rope_scaling {
                    RopeScaling::Yarn(yarn) => yarn.score_factor(),
                    _ => 1.0,
                };
                (
                    Qkv::Latent(Box::new(LatentQkv::load(weights, latent)?)),
                    Some(yarn_factor / (kv_heads.key_dim as f64).sqrt()),
                )
            }
        };
        let is_read_by =
            |later: i64| later != layer && configuration.kv_source_layer(later) == Some(layer);
        Ok(Self {
            qkv,
            sdpa: Sdpa {
                cache_layer,
                num_heads,
                kv_heads,
                scale,
                softcap: configuration.variations.attn_logit_softcapping,
                sliding_window: configuration
                    .sliding_attention(layer)
                    .map(|sliding| sliding.sliding_window),
            },
            o_proj: weights.linear(
                "o_proj",
                num_heads * kv_heads.value_dim,
                configuration.hidden_size,
                configuration.attention_bias,
            )?,
            // Reading the configuration has ensured that every layer has a source.
            kv_source_layer: configuration.kv_source_layer(layer).unwrap_or(layer),
            is_kv_source: (layer..configuration.num_hidden_layers).any(is_read_by),
        })
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        let mut linears = match &self.qkv {
            Qkv::Grouped(grouped) => vec![&grouped.qkv_proj],
            Qkv::Latent(latent) => latent.linears(),
        };
        linears.push(&self.o_proj);
        linears
    }

    /// The weights outside the linear layers.
    pub(super) fn parameters(&self) -> Vec<&Parameter> {
        match &self.qkv {
            Qkv::Grouped(grouped) => {
                let norms = [&grouped.q_norm, &grouped.k_norm].into_iter().flatten();
                norms.filter_map(RmsNorm::weight).collect()
            }
            Qkv::Latent(latent) => latent.parameters(),
        }
    }

    /// `x` and the result are `[tokens, hidden]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rotation: &Rotation,
        shared: &mut SharedKeyValues,
        pass: &mut ForwardPass,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        // [tokens, heads, head_dim] each
        let [queries, keys, values] = match &self.qkv {
            Qkv::Grouped(grouped) => {
                let source = shared.get(&self.kv_source_layer);
                grouped.forward(x, source, rotation, adapters)?
            }
            Qkv::Latent(latent) => latent.forward(x, rotation, adapters)?,
        };
        if self.is_kv_source {
            let key_values = [keys.shallow_clone(), values.shallow_clone()];
            shared.insert(self.kv_source_layer, key_values);
        }
        // A layer that shares keys and values writes the same ones to the cache again. That keeps
        // sharing out of the cache, and gives each pipeline stage a copy on its own device.
        let attended = self.sdpa.forward(pass, &queries, &keys, &values)?;
        self.o_proj.forward(&attended, adapters)
    }
}

impl GroupedQkv {
    fn load(weights: &Weights, layer: i64) -> Result<Self, ModelError> {
        let configuration = weights.configuration;
        let variations = &configuration.variations;
        let num_heads = configuration.num_attention_heads;
        let kv_heads = configuration.kv_heads(layer);
        let head_dim = kv_heads.key_dim;
        let has_keys = configuration.kv_source_layer(layer) == Some(layer);
        let values_are_keys =
            variations.attention_k_eq_v && configuration.sliding_attention(layer).is_none();
        let mut projections = vec![("q_proj", num_heads * head_dim)];
        if has_keys {
            projections.push(("k_proj", kv_heads.count * head_dim));
        }
        if has_keys && !values_are_keys {
            projections.push(("v_proj", kv_heads.count * head_dim));
        }
        let qk_norm = |name: &str| weights.rms_norm(name, head_dim);
        let has_norms = configuration.qk_norm;
        Ok(Self {
            qkv_proj: weights.fused_linear(
                &projections,
                configuration.hidden_size,
                configuration.attention_bias,
            )?,
            q_norm: has_norms.then(|| qk_norm("q_norm")).transpose()?,
            k_norm: (has_norms && has_keys)
                .then(|| qk_norm("k_norm"))
                .transpose()?,
            v_norm: (variations.v_norm && has_keys)
                .then(|| weights.rms_norm_without_weight(head_dim)),
            num_heads,
            head_dim,
        })
    }

    /// Queries, keys and values of `x`, `[tokens, hidden]`: `[tokens, heads, head_dim]` each.
    ///
    /// `source` are the keys and values of the layer that this one takes them from, if it has none
    /// of its own.
    fn forward(
        &self,
        x: &Tensor,
        source: Option<&[Tensor; 2]>,
        rotation: &Rotation,
        adapters: &Adapters,
    ) -> Result<[Tensor; 3], TchError> {
        let projected = self.qkv_proj.forward_fused(x, adapters)?;
        let heads = |tensor: &Tensor| tensor.f_view([tensor.size()[0], -1, self.head_dim]);
        let normed = |norm: &Option<RmsNorm>, heads: Tensor| match norm {
            Some(norm) => norm.forward(&heads),
            None => Ok(heads),
        };
        let queries = projected[0].f_view([-1, self.num_heads, self.head_dim])?;
        let queries = rotation.apply(&normed(&self.q_norm, queries)?)?;
        let (keys, values) = match (projected.as_slice(), source) {
            ([_, keys, values], _) => (heads(keys)?, heads(values)?),
            ([_, keys], _) => (heads(keys)?, heads(keys)?),
            (_, Some([keys, values])) => {
                // The source may be on the device of another pipeline stage.
                let device = queries.device();
                return Ok([
                    queries,
                    keys.f_to_device(device)?,
                    values.f_to_device(device)?,
                ]);
            }
            (_, None) => {
                let detail = "no earlier layer has computed the keys and values to share";
                return Err(TchError::Shape(detail.to_owned()));
            }
        };
        let keys = rotation.apply(&normed(&self.k_norm, keys)?)?;
        Ok([queries, keys, normed(&self.v_norm, values)?])
    }
}
