//! The gated feed-forward block.

use tch::{TchError, Tensor};

use super::linear::Linear;
use super::parts::Parts;
use crate::ModelError;
use crate::adapter::Adapters;

/// `down(silu(gate(x)) * up(x))` (SwiGLU, <https://arxiv.org/abs/2002.05202>).
pub(super) struct Mlp {
    gate_up: Linear,
    down: Linear,
}

impl Mlp {
    /// Reads the block named `prefix`, such as `model.layers.0.mlp`, which is `width` wide.
    pub(super) fn load(parts: &Parts, prefix: &str, width: i64) -> Result<Self, ModelError> {
        let (hidden, bias) = (
            parts.configuration.hidden_size,
            parts.configuration.mlp_bias,
        );
        let gate_up = [("gate_proj", hidden, width), ("up_proj", hidden, width)];
        Ok(Self {
            gate_up: parts.linear(prefix, &gate_up, bias)?,
            down: parts.linear(prefix, &[("down_proj", width, hidden)], bias)?,
        })
    }

    pub(super) fn linears(&self) -> [&Linear; 2] {
        [&self.gate_up, &self.down]
    }

    pub(super) fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        let gate_up = self.gate_up.forward(x, adapters)?;
        let [gate, up] = gate_up.as_slice() else {
            unreachable!("gate_up is loaded with two maps")
        };
        self.down.forward_one(&gate.f_silu()?.f_mul(up)?, adapters)
    }
}
