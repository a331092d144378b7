//! Reads the parts of a transformer by their names in the checkpoint.

use tch::Device;

use super::Weight;
use super::linear::{Linear, LinearMap};
use super::norm::RmsNorm;
use crate::checkpoint::Checkpoint;
use crate::{Configuration, ModelError};

/// Where parts come from, what shape they have and where they go.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) checkpoint: &'a dyn Checkpoint,
    pub(super) configuration: &'a Configuration,
    pub(super) device: Device,
}

impl Parts<'_> {
    /// The tensor of this name and shape.
    pub(super) fn weight(&self, name: &str, shape: &[i64]) -> Result<Weight, ModelError> {
        let tensor = self.checkpoint.tensor(name, shape)?;
        Ok(Weight::new(tensor.f_to_device(self.device)?))
    }

    /// The norm `name` over vectors of `size`.
    pub(super) fn norm(&self, name: &str, size: i64) -> Result<RmsNorm, ModelError> {
        Ok(RmsNorm {
            weight: self.weight(&format!("{name}.weight"), &[size])?,
            epsilon: self.configuration.rms_norm_eps,
        })
    }

    /// The maps of one input under `prefix`: name, inputs and outputs of each.
    pub(super) fn linear(
        &self,
        prefix: &str,
        maps: &[(&str, i64, i64)],
        bias: bool,
    ) -> Result<Linear, ModelError> {
        let named = maps.iter().map(|&(name, inputs, outputs)| LinearMap {
            module: format!("{prefix}.{name}"),
            inputs,
            outputs,
        });
        Linear::load(self.checkpoint, named.collect(), bias, self.device)
    }
}
