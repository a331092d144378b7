//! The gated feed-forward block.

use tch::{Device, TchError, Tensor};

use super::linear::{Linear, LinearMap};
use crate::adapter::Adapter;
use crate::checkpoint::Checkpoint;
use crate::{Configuration, ModelError};

/// `down(silu(gate(x)) * up(x))` (SwiGLU, <https://arxiv.org/abs/2002.05202>).
pub(super) struct Mlp {
    gate_up: Linear,
    down: Linear,
}

impl Mlp {
    /// Reads the block named `prefix`, such as `model.layers.0.mlp`.
    pub(super) fn load(
        checkpoint: &dyn Checkpoint,
        configuration: &Configuration,
        prefix: &str,
        device: Device,
    ) -> Result<Self, ModelError> {
        let (hidden, intermediate) = (configuration.hidden_size, configuration.intermediate_size);
        let map = |name: &str, inputs, outputs| LinearMap {
            module: format!("{prefix}.{name}"),
            inputs,
            outputs,
        };
        let gate_up = vec![
            map("gate_proj", hidden, intermediate),
            map("up_proj", hidden, intermediate),
        ];
        let down = vec![map("down_proj", intermediate, hidden)];
        Ok(Self {
            gate_up: Linear::load(checkpoint, gate_up, device)?,
            down: Linear::load(checkpoint, down, device)?,
        })
    }

    pub(super) fn linears(&self) -> [&Linear; 2] {
        [&self.gate_up, &self.down]
    }

    pub(super) fn forward(
        &self,
        x: &Tensor,
        adapter: Option<&Adapter>,
    ) -> Result<Tensor, TchError> {
        let gate_up = self.gate_up.forward(x, adapter)?;
        let [gate, up] = gate_up.as_slice() else {
            unreachable!("gate_up is loaded with two maps")
        };
        self.down.forward_one(&gate.f_silu()?.f_mul(up)?, adapter)
    }
}
