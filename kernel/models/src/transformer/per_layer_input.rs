//! A second, small embedding of the tokens, of which every layer reads its own part (Gemma 4;
//! `Gemma4TextModel.project_per_layer_inputs` in `transformers`).

use std::f64::consts::FRAC_1_SQRT_2;

use tch::{TchError, Tensor};

use super::decoder::rounded;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;
use crate::configuration::{Activation, PerLayerInput};

/// From tokens, and their embeddings, to what each layer reads.
pub(super) struct PerLayerEmbedding {
    /// `[vocabulary, layers * size]`
    embedding: Parameter,
    /// `sqrt(size)` in the precision of the model.
    factor: f64,
    projection: Linear,
    norm: RmsNorm,
    layers: i64,
    size: i64,
}

/// How a layer adds what it reads.
pub(super) struct PerLayerGate {
    gate: Linear,
    projection: Linear,
    norm: RmsNorm,
    activation: Activation,
}

impl PerLayerEmbedding {
    pub(super) fn load(weights: &Weights, shape: PerLayerInput) -> Result<Self, ModelError> {
        let layers = weights.configuration.num_hidden_layers;
        let hidden = weights.configuration.hidden_size;
        let PerLayerInput { vocab_size, size } = shape;
        let width = layers * size;
        let projection = [("per_layer_model_projection", hidden, width)];
        Ok(Self {
            embedding: weights
                .weight("model.embed_tokens_per_layer.weight", &[vocab_size, width])?,
            factor: rounded((size as f64).sqrt(), weights.kind)?,
            projection: weights.linear("model", &projection, false)?,
            norm: weights.norm("model.per_layer_projection_norm", size)?,
            layers,
            size,
        })
    }

    /// The weights that belong to no linear map.
    pub(super) fn other_weights(&self) -> impl Iterator<Item = &Parameter> {
        [&self.embedding].into_iter().chain(self.norm.weight())
    }

    pub(super) fn projection(&self) -> &Linear {
        &self.projection
    }

    /// What each layer reads, `[tokens, layers, size]`, of `tokens`, `[tokens]`, with the
    /// embeddings `x`, `[tokens, hidden]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        tokens: &Tensor,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let shape = [-1, self.layers, self.size];
        let hidden = x.size2()?.1 as f64;
        let context = self.projection.forward_one(x, adapters)?;
        let context = context.f_mul_scalar(hidden.powf(-0.5))?.f_view(shape)?;
        let identity = self.embedding.f_index_select(0, tokens)?;
        let identity = identity.f_mul_scalar(self.factor)?.f_view(shape)?;
        let sum = self.norm.forward(&context)?.f_add(&identity)?;
        sum.f_mul_scalar(FRAC_1_SQRT_2)
    }
}

impl PerLayerGate {
    pub(super) fn load(weights: &Weights, size: i64, prefix: &str) -> Result<Self, ModelError> {
        let hidden = weights.configuration.hidden_size;
        let linear =
            |name, inputs, outputs| weights.linear(prefix, &[(name, inputs, outputs)], false);
        Ok(Self {
            gate: linear("per_layer_input_gate", hidden, size)?,
            projection: linear("per_layer_projection", size, hidden)?,
            norm: weights.norm(&format!("{prefix}.post_per_layer_input_norm"), hidden)?,
            activation: weights.configuration.variations.activation,
        })
    }

    pub(super) fn linears(&self) -> [&Linear; 2] {
        [&self.gate, &self.projection]
    }

    pub(super) fn norm(&self) -> &RmsNorm {
        &self.norm
    }

    /// What is to be added to `x`, `[tokens, hidden]`, for the layer's own embedding of the
    /// tokens, `[tokens, size]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        own: &Tensor,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let gate = self.gate.forward_one(x, adapters)?;
        let own = own.f_to_device(x.device())?;
        let gated = self.activation.forward(&gate)?.f_mul(&own)?;
        self.norm
            .forward(&self.projection.forward_one(&gated, adapters)?)
    }
}
