//! One decoder layer: attention, then the feed-forward block, each added to the residual stream.

use tch::{TchError, Tensor};

use super::attention::{Attention, SharedKeyValues};
use super::feed_forward::FeedForward;
use super::forward_pass::ForwardPass;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::per_layer_input::PerLayerInputGate;
use super::rope::Rotations;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;

/// `x += self_attn(norm(x))`, then `x += mlp(norm(x))`.
pub(super) struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: Attention,
    /// Of the output of attention: `post_attention_layernorm` in Gemma.
    post_attention_norm: Option<RmsNorm>,
    /// Of the input of the MLP: `post_attention_layernorm` in Llama, `pre_feedforward_layernorm` in
    /// Gemma.
    pre_mlp_norm: RmsNorm,
    mlp: FeedForward,
    /// Of the output of the MLP: `post_feedforward_layernorm` in Gemma.
    post_mlp_norm: Option<RmsNorm>,
    /// Adds the layer's part of the second embedding (Gemma 4).
    per_layer_input_gate: Option<PerLayerInputGate>,
    /// Factor of the layer's output: `[1]` (Gemma 4).
    layer_scalar: Option<Parameter>,
    is_sliding: bool,
}

impl DecoderLayer {
    /// Reads `layer`, whose weights are at `weights`, such as `model.layers.0`. Its keys and values
    /// are stored at `cache_layer` of the cache.
    pub(super) fn load(
        weights: &Weights,
        layer: i64,
        cache_layer: usize,
    ) -> Result<Self, ModelError> {
        let configuration = weights.configuration;
        let variations = &configuration.variations;
        let norm = |name: &str| weights.rms_norm(name, configuration.hidden_size);
        let (post_attention_norm, pre_mlp_norm, post_mlp_norm) = if variations.sandwich_norms {
            (
                Some(norm("post_attention_layernorm")?),
                norm("pre_feedforward_layernorm")?,
                Some(norm("post_feedforward_layernorm")?),
            )
        } else {
            (None, norm("post_attention_layernorm")?, None)
        };
        Ok(Self {
            input_layernorm: norm("input_layernorm")?,
            self_attn: Attention::load(&weights.pp("self_attn"), layer, cache_layer)?,
            post_attention_norm,
            pre_mlp_norm,
            mlp: FeedForward::load(weights, layer)?,
            post_mlp_norm,
            per_layer_input_gate: match variations.per_layer_input {
                Some(shape) => Some(PerLayerInputGate::load(weights, shape)?),
                None => None,
            },
            layer_scalar: variations
                .layer_scalar
                .then(|| weights.parameter("layer_scalar", &[1]))
                .transpose()?,
            is_sliding: configuration.sliding_attention(layer).is_some(),
        })
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        let mut linears = self.self_attn.linears();
        linears.extend(self.mlp.linears());
        let gates = self.per_layer_input_gate.iter();
        linears.extend(gates.flat_map(PerLayerInputGate::linears));
        linears
    }

    /// The weights outside the linear layers.
    pub(super) fn parameters(&self) -> Vec<&Parameter> {
        let gate = self.per_layer_input_gate.as_ref();
        let norms = [
            Some(&self.input_layernorm),
            self.post_attention_norm.as_ref(),
            Some(&self.pre_mlp_norm),
            self.post_mlp_norm.as_ref(),
            gate.map(PerLayerInputGate::norm),
        ];
        let norms = norms.into_iter().flatten().filter_map(RmsNorm::weight);
        let mut parameters: Vec<&Parameter> = norms.chain(&self.layer_scalar).collect();
        parameters.extend(self.self_attn.parameters());
        parameters.extend(self.mlp.parameters());
        parameters
    }

    /// `x` and the result are `[tokens, hidden]`; `per_layer_input` is the layer's part of the second
    /// embedding, `[tokens, size]`, in models that have one.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        per_layer_input: Option<&Tensor>,
        rotations: &Rotations,
        shared: &mut SharedKeyValues,
        pass: &mut ForwardPass,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let normed = |norm: &Option<RmsNorm>, output: Tensor| match norm {
            Some(norm) => norm.forward(&output),
            None => Ok(output),
        };
        let rotation = rotations.of_layer(self.is_sliding);
        let attended = self.self_attn.forward(
            &self.input_layernorm.forward(x)?,
            rotation,
            shared,
            pass,
            adapters,
        )?;
        let x = x.f_add(&normed(&self.post_attention_norm, attended)?)?;
        let mlp_input = self.pre_mlp_norm.forward(&x)?;
        let computed = self.mlp.forward(&x, &mlp_input, adapters)?;
        let mut x = x.f_add(&normed(&self.post_mlp_norm, computed)?)?;
        if let (Some(gate), Some(input)) = (&self.per_layer_input_gate, per_layer_input) {
            x = x.f_add(&gate.forward(&x, input, adapters)?)?;
        }
        match &self.layer_scalar {
            Some(scalar) => x.f_mul(scalar),
            None => Ok(x),
        }
    }
}
