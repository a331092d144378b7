//! Reads a transformer's weights by their names in the checkpoint.

use tch::{Device, Kind, TchError, Tensor};

use super::linear::{Linear, LinearModule};
use super::norm::RmsNorm;
use super::parameter::Parameter;
use crate::checkpoint::Checkpoint;
use crate::{Configuration, ModelError};

/// The weights of one module, like candle's `VarBuilder`: a checkpoint, the prefix of the module's
/// names in it, and the device and kind that the weights are converted to.
#[derive(Clone)]
pub(super) struct Weights<'a> {
    pub(super) configuration: &'a Configuration,
    pub(super) kind: Kind,
    checkpoint: &'a dyn Checkpoint,
    device: Device,
    prefix: String,
}

impl<'a> Weights<'a> {
    /// The weights of the whole model.
    pub(super) fn new(
        checkpoint: &'a dyn Checkpoint,
        configuration: &'a Configuration,
        device: Device,
        kind: Kind,
    ) -> Self {
        Self {
            configuration,
            kind,
            checkpoint,
            device,
            prefix: String::new(),
        }
    }

    /// The weights of the submodule `name`, such as `model.layers.0` (candle's "push prefix").
    pub(super) fn pp(&self, name: &str) -> Self {
        Self {
            prefix: self.full_name(name),
            ..self.clone()
        }
    }

    /// The same weights on another device.
    pub(super) fn on_device(&self, device: Device) -> Self {
        Self {
            device,
            ..self.clone()
        }
    }

    /// The same weights in another kind.
    pub(super) fn in_kind(&self, kind: Kind) -> Self {
        Self {
            kind,
            ..self.clone()
        }
    }

    /// The tensor `name`, for example `embed_tokens.weight`, whose shape is checked.
    pub(super) fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        let tensor = self.checkpoint.tensor(&self.full_name(name), shape)?;
        Ok(tensor.f_to_device(self.device)?.f_to_kind(self.kind)?)
    }

    /// The tensor `name` with its name, for saving.
    pub(super) fn parameter(&self, name: &str, shape: &[i64]) -> Result<Parameter, ModelError> {
        let tensor = self.tensor(name, shape)?;
        Ok(Parameter::new(&self.full_name(name), tensor))
    }

    /// The norm `name` over vectors of `size` elements, with the configuration's epsilon.
    pub(super) fn rms_norm(&self, name: &str, size: i64) -> Result<RmsNorm, ModelError> {
        self.rms_norm_with_epsilon(name, size, self.configuration.rms_norm_eps)
    }

    /// The norm `name` over vectors of `size` elements, with an epsilon of its own.
    pub(super) fn rms_norm_with_epsilon(
        &self,
        name: &str,
        size: i64,
        epsilon: f64,
    ) -> Result<RmsNorm, ModelError> {
        let name = format!("{name}.weight");
        let weight = if self.configuration.variations.zero_centered_norms {
            // Adding 1 in bf16 would round away most digits of the checkpoint's value.
            let centered = self.in_kind(Kind::Float).tensor(&name, &[size])?;
            Parameter::with_offset(&self.full_name(&name), centered.f_add_scalar(1.0)?, 1.0)
        } else {
            self.parameter(&name, &[size])?
        };
        Ok(RmsNorm::new(Some(weight), size, epsilon))
    }

    /// A norm over vectors of `size` elements that has no weight in the checkpoint.
    pub(super) fn rms_norm_without_weight(&self, size: i64) -> RmsNorm {
        RmsNorm::new(None, size, self.configuration.rms_norm_eps)
    }

    /// The linear layer `name`.
    pub(super) fn linear(
        &self,
        name: &str,
        in_features: i64,
        out_features: i64,
        bias: bool,
    ) -> Result<Linear, ModelError> {
        self.fused_linear(&[(name, out_features)], in_features, bias)
    }

    /// Several linear layers of the same input as one: name and output features of each.
    pub(super) fn fused_linear(
        &self,
        layers: &[(&str, i64)],
        in_features: i64,
        bias: bool,
    ) -> Result<Linear, ModelError> {
        let (mut weights, mut biases, mut modules) = (Vec::new(), Vec::new(), Vec::new());
        for &(name, out_features) in layers {
            weights.push(self.tensor(&format!("{name}.weight"), &[out_features, in_features])?);
            if bias {
                biases.push(self.tensor(&format!("{name}.bias"), &[out_features])?);
            }
            modules.push(self.linear_module(name, in_features, out_features));
        }
        let bias = if bias {
            Some(concatenate(biases)?)
        } else {
            None
        };
        Ok(Linear::new(concatenate(weights)?, bias, modules))
    }

    /// The description of the linear layer `name`.
    pub(super) fn linear_module(
        &self,
        name: &str,
        in_features: i64,
        out_features: i64,
    ) -> LinearModule {
        LinearModule {
            name: self.full_name(name),
            in_features,
            out_features,
            device: self.device,
        }
    }

    fn full_name(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }
}

/// The tensors one after another along the first dimension; a single tensor is not copied.
pub(super) fn concatenate(mut tensors: Vec<Tensor>) -> Result<Tensor, TchError> {
    match tensors.len() {
        1 => Ok(tensors.remove(0)),
        _ => Tensor::f_cat(&tensors, 0),
    }
}
