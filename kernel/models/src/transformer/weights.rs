//! Reads the parts of a transformer by their names in the checkpoint.

use tch::{Device, Kind, Tensor};

use super::linear::{Linear, LinearModule};
use super::norm::RmsNorm;
use super::parameter::Parameter;
use crate::checkpoint::Checkpoint;
use crate::{Configuration, ModelError};

/// Where parts come from, what shape they have, where they go and as what kind of numbers.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) checkpoint: &'a dyn Checkpoint,
    pub(super) configuration: &'a Configuration,
    pub(super) device: Device,
    pub(super) kind: Kind,
}

impl Weights<'_> {
    /// The tensor of this name and shape.
    pub(super) fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        self.tensor_of(name, shape, self.kind)
    }

    /// The tensor of this name and shape.
    pub(super) fn weight(&self, name: &str, shape: &[i64]) -> Result<Parameter, ModelError> {
        Ok(Parameter::new(name, self.tensor(name, shape)?))
    }

    /// The same in `f32`, whatever the kind of the model: for small tensors whose every digit
    /// counts.
    pub(super) fn exact_weight(&self, name: &str, shape: &[i64]) -> Result<Parameter, ModelError> {
        let weight = self.tensor_of(name, shape, Kind::Float)?;
        Ok(Parameter::new(name, weight))
    }

    /// The norm `name` over vectors of `size`.
    pub(super) fn norm(&self, name: &str, size: i64) -> Result<RmsNorm, ModelError> {
        self.norm_with_epsilon(name, size, self.configuration.rms_norm_eps)
    }

    /// The same with an epsilon of its own.
    pub(super) fn norm_with_epsilon(
        &self,
        name: &str,
        size: i64,
        epsilon: f64,
    ) -> Result<RmsNorm, ModelError> {
        let name = format!("{name}.weight");
        let weight = match self.configuration.variations.norms_less_one {
            true => {
                let less_one = self.exact_weight(&name, &[size])?;
                Parameter::with_added(&name, less_one.f_add_scalar(1.0)?, 1.0)
            }
            false => self.weight(&name, &[size])?,
        };
        Ok(RmsNorm::new(Some(weight), size, epsilon))
    }

    /// A norm without a weight over vectors of `size`.
    pub(super) fn plain_norm(&self, size: i64) -> RmsNorm {
        RmsNorm::new(None, size, self.configuration.rms_norm_eps)
    }

    /// The maps of one input under `prefix`: name, inputs and outputs of each.
    pub(super) fn linear(
        &self,
        prefix: &str,
        maps: &[(&str, i64, i64)],
        bias: bool,
    ) -> Result<Linear, ModelError> {
        let named = maps.iter().map(|&(name, inputs, outputs)| LinearModule {
            name: format!("{prefix}.{name}"),
            in_features: inputs,
            out_features: outputs,
            device: self.device,
        });
        Linear::load(self, named.collect(), bias)
    }

    fn tensor_of(&self, name: &str, shape: &[i64], kind: Kind) -> Result<Tensor, ModelError> {
        let tensor = self.checkpoint.tensor(name, shape)?;
        Ok(tensor.f_to_device(self.device)?.f_to_kind(kind)?)
    }
}
