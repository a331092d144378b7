//! Gemma 4's second, small embedding, of which every layer reads a part of its own
//! (`Gemma4TextModel.project_per_layer_inputs` in `transformers`).

use std::f64::consts::FRAC_1_SQRT_2;

use tch::{Kind, TchError, Tensor};

use super::linear::Linear;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;
use crate::configuration::{Activation, PerLayerInput};

/// Computes the inputs of all layers from the tokens and their embeddings.
pub(super) struct PerLayerInputs {
    /// `[vocab_size, layers * size]`
    embed_tokens_per_layer: Parameter,
    /// `sqrt(size)`, rounded to the precision of the model.
    embedding_scale: f64,
    per_layer_model_projection: Linear,
    per_layer_projection_norm: RmsNorm,
    num_layers: i64,
    size: i64,
}

/// Computes what one layer adds to the residual stream for its input.
pub(super) struct PerLayerInputGate {
    per_layer_input_gate: Linear,
    per_layer_projection: Linear,
    post_per_layer_input_norm: RmsNorm,
    activation: Activation,
}

impl PerLayerInputs {
    /// Reads the embedding and its projection; `weights` are those of `model`.
    pub(super) fn load(weights: &Weights, shape: PerLayerInput) -> Result<Self, ModelError> {
        let PerLayerInput {
            vocab_size_per_layer_input: vocab_size,
            hidden_size_per_layer_input: size,
        } = shape;
        let num_layers = weights.configuration.num_hidden_layers;
        let hidden = weights.configuration.hidden_size;
        let width = num_layers * size;
        Ok(Self {
            embed_tokens_per_layer: weights
                .parameter("embed_tokens_per_layer.weight", &[vocab_size, width])?,
            embedding_scale: round_to_kind((size as f64).sqrt(), weights.kind)?,
            per_layer_model_projection: weights.linear(
                "per_layer_model_projection",
                hidden,
                width,
                false,
            )?,
            per_layer_projection_norm: weights.rms_norm("per_layer_projection_norm", size)?,
            num_layers,
            size,
        })
    }

    /// The weights outside the linear layers.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let norm = self.per_layer_projection_norm.weight();
        [&self.embed_tokens_per_layer].into_iter().chain(norm)
    }

    pub(super) fn linear(&self) -> &Linear {
        &self.per_layer_model_projection
    }

    /// The inputs of all layers, `[tokens, layers, size]`, for `tokens`, `[tokens]`, with the
    /// embeddings `x`, `[tokens, hidden]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        tokens: &Tensor,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let shape = [-1, self.num_layers, self.size];
        let hidden = x.size2()?.1 as f64;
        let projected = self.per_layer_model_projection.forward(x, adapters)?;
        let projected = projected.f_mul_scalar(hidden.powf(-0.5))?.f_view(shape)?;
        let embedded = self.embed_tokens_per_layer.f_index_select(0, tokens)?;
        let embedded = embedded.f_mul_scalar(self.embedding_scale)?.f_view(shape)?;
        let normed = self.per_layer_projection_norm.forward(&projected)?;
        normed.f_add(&embedded)?.f_mul_scalar(FRAC_1_SQRT_2)
    }
}

impl PerLayerInputGate {
    /// Reads the gate of the layer at `weights`, such as `model.layers.0`.
    pub(super) fn load(weights: &Weights, shape: PerLayerInput) -> Result<Self, ModelError> {
        let hidden = weights.configuration.hidden_size;
        let size = shape.hidden_size_per_layer_input;
        Ok(Self {
            per_layer_input_gate: weights.linear("per_layer_input_gate", hidden, size, false)?,
            per_layer_projection: weights.linear("per_layer_projection", size, hidden, false)?,
            post_per_layer_input_norm: weights.rms_norm("post_per_layer_input_norm", hidden)?,
            activation: weights.configuration.variations.hidden_activation,
        })
    }

    pub(super) fn linears(&self) -> [&Linear; 2] {
        [&self.per_layer_input_gate, &self.per_layer_projection]
    }

    pub(super) fn norm(&self) -> &RmsNorm {
        &self.post_per_layer_input_norm
    }

    /// What is added to `x`, `[tokens, hidden]`, for the layer's input, `[tokens, size]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        input: &Tensor,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let gate = self.per_layer_input_gate.forward(x, adapters)?;
        let input = input.f_to_device(x.device())?;
        let gated = self.activation.forward(&gate)?.f_mul(&input)?;
        let projected = self.per_layer_projection.forward(&gated, adapters)?;
        self.post_per_layer_input_norm.forward(&projected)
    }
}

/// The number nearest to `number` that `kind` can represent.
pub(super) fn round_to_kind(number: f64, kind: Kind) -> Result<f64, TchError> {
    Tensor::f_from_slice(&[number])?
        .f_to_kind(kind)?
        .f_double_value(&[0])
}
