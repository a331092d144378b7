//! One layer: attention, then the feed-forward block, each added to what came in.

use tch::{TchError, Tensor};

use super::ForwardPass;
use super::attention::{Attention, SharedKeyValues};
use super::decoder::Rotations;
use super::feed_forward::FeedForward;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::per_layer_input::PerLayerGate;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;

/// `x += attention(norm(x))`, then `x += mlp(norm(x))`.
pub(super) struct Layer {
    attention_norm: RmsNorm,
    attention: Attention,
    /// Of what attention gives (Gemma).
    after_attention: Option<RmsNorm>,
    mlp_norm: RmsNorm,
    mlp: FeedForward,
    /// Of what the MLP gives (Gemma).
    after_mlp: Option<RmsNorm>,
    /// Adds the layer's own embedding of the tokens (Gemma 4).
    per_layer: Option<PerLayerGate>,
    /// Factor of the output: `[1]` (Gemma 4).
    scalar: Option<Parameter>,
    is_local: bool,
}

impl Layer {
    /// Reads `layer`, whose keys and values are in this slot of a cache.
    pub(super) fn load(weights: &Weights, layer: i64, slot: usize) -> Result<Self, ModelError> {
        let prefix = format!("model.layers.{layer}");
        let (hidden, variations) = (
            weights.configuration.hidden_size,
            &weights.configuration.variations,
        );
        let norm = |name: &str| weights.norm(&format!("{prefix}.{name}"), hidden);
        let attention = format!("{prefix}.self_attn");
        // Llama names the norm before the MLP after what precedes it.
        let (after_attention, before_mlp, after_mlp) = match variations.sandwich_norms {
            false => (None, "post_attention_layernorm", None),
            true => (
                Some(norm("post_attention_layernorm")?),
                "pre_feedforward_layernorm",
                Some(norm("post_feedforward_layernorm")?),
            ),
        };
        Ok(Self {
            attention_norm: norm("input_layernorm")?,
            attention: Attention::load(weights, layer, slot, &attention)?,
            after_attention,
            mlp_norm: norm(before_mlp)?,
            mlp: FeedForward::load(weights, layer, &prefix)?,
            after_mlp,
            per_layer: match variations.per_layer_input {
                Some(shape) => Some(PerLayerGate::load(weights, shape.size, &prefix)?),
                None => None,
            },
            scalar: match variations.layer_scalar {
                true => Some(weights.weight(&format!("{prefix}.layer_scalar"), &[1])?),
                false => None,
            },
            is_local: weights.configuration.local(layer).is_some(),
        })
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        let mut linears = self.attention.linears();
        linears.extend(self.mlp.linears());
        linears.extend(self.per_layer.iter().flat_map(PerLayerGate::linears));
        linears
    }

    /// The weights that belong to no linear map.
    pub(super) fn other_weights(&self) -> Vec<&Parameter> {
        let norms = [
            Some(&self.attention_norm),
            self.after_attention.as_ref(),
            Some(&self.mlp_norm),
            self.after_mlp.as_ref(),
            self.per_layer.as_ref().map(PerLayerGate::norm),
        ];
        let norms = norms.into_iter().flatten().filter_map(RmsNorm::weight);
        let mut weights: Vec<&Parameter> = norms.chain(&self.scalar).collect();
        weights.extend(self.attention.norm_weights());
        weights.extend(self.mlp.other_weights());
        weights
    }

    /// `x`, and the result, are `[tokens, hidden]`; `own` is the layer's own embedding of the
    /// tokens, `[tokens, size]`, in models that have one.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        own: Option<&Tensor>,
        rotations: &Rotations,
        shared: &mut SharedKeyValues,
        pass: &mut ForwardPass,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let after = |norm: &Option<RmsNorm>, added: Tensor| match norm {
            Some(norm) => norm.forward(&added),
            None => Ok(added),
        };
        let rotation = rotations.of(self.is_local);
        let normed = self.attention_norm.forward(x)?;
        let attended = self
            .attention
            .forward(&normed, rotation, shared, pass, adapters)?;
        let x = x.f_add(&after(&self.after_attention, attended)?)?;
        let normed = self.mlp_norm.forward(&x)?;
        let computed = self.mlp.forward(&x, &normed, adapters)?;
        let mut x = x.f_add(&after(&self.after_mlp, computed)?)?;
        if let (Some(gate), Some(own)) = (&self.per_layer, own) {
            x = x.f_add(&gate.forward(&x, own, adapters)?)?;
        }
        match &self.scalar {
            Some(scalar) => x.f_mul(scalar),
            None => Ok(x),
        }
    }
}
