//! The gated feed-forward block.

use tch::{TchError, Tensor};

use super::linear::{Linear, LinearModule};
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;
use crate::configuration::Activation;

/// `down(activation(gate(x)) * up(x))` (SwiGLU and GEGLU, <https://arxiv.org/abs/2002.05202>).
pub(super) struct Mlp {
    gate_up: Linear,
    down: Linear,
    activation: Activation,
}

impl Mlp {
    /// Reads the block named `prefix`, such as `model.layers.0.mlp`, which is `width` wide.
    pub(super) fn load(weights: &Weights, prefix: &str, width: i64) -> Result<Self, ModelError> {
        let (hidden, bias) = (
            weights.configuration.hidden_size,
            weights.configuration.mlp_bias,
        );
        let gate_up = [("gate_proj", hidden, width), ("up_proj", hidden, width)];
        Ok(Self {
            gate_up: weights.linear(prefix, &gate_up, bias)?,
            down: weights.linear(prefix, &[("down_proj", width, hidden)], bias)?,
            activation: weights.configuration.variations.activation,
        })
    }

    /// The block of one expert out of tensors that hold all experts: `gate_up`,
    /// `[2 * width, hidden]`, and `down`, `[hidden, width]`.
    pub(super) fn of_expert(
        gate_up: Tensor,
        down: Tensor,
        prefix: &str,
        activation: Activation,
    ) -> Result<Self, TchError> {
        let (hidden, width) = down.size2()?;
        let device = down.device();
        let map = |name: &str, inputs, outputs| LinearModule {
            name: format!("{prefix}.{name}"),
            in_features: inputs,
            out_features: outputs,
            device,
        };
        let gate_up_maps = ["gate_proj", "up_proj"].map(|name| map(name, hidden, width));
        Ok(Self {
            gate_up: Linear::of(gate_up, gate_up_maps.into()),
            down: Linear::of(down, vec![map("down_proj", width, hidden)]),
            activation,
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
        let gate = self.activation.forward(gate)?;
        self.down.forward_one(&gate.f_mul(up)?, adapters)
    }
}

impl Activation {
    pub(super) fn forward(self, x: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Silu => x.f_silu(),
            Self::GeluTanh => x.f_gelu("tanh"),
        }
    }
}
