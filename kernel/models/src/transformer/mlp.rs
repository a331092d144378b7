//! The gated feed-forward block.

use tch::{TchError, Tensor};

use super::linear::Linear;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;
use crate::configuration::Activation;

/// `down_proj(activation(gate_proj(x)) * up_proj(x))`: SwiGLU or GEGLU
/// (<https://arxiv.org/abs/2002.05202>).
pub(super) struct Mlp {
    /// `gate_proj` and `up_proj` fused.
    gate_up_proj: Linear,
    down_proj: Linear,
    activation: Activation,
}

impl Mlp {
    /// Reads the block at `weights`, such as `model.layers.0.mlp`.
    pub(super) fn load(weights: &Weights, intermediate_size: i64) -> Result<Self, ModelError> {
        let hidden_size = weights.configuration.hidden_size;
        let bias = weights.configuration.mlp_bias;
        let gate_up = [
            ("gate_proj", intermediate_size),
            ("up_proj", intermediate_size),
        ];
        Ok(Self {
            gate_up_proj: weights.fused_linear(&gate_up, hidden_size, bias)?,
            down_proj: weights.linear("down_proj", intermediate_size, hidden_size, bias)?,
            activation: weights.configuration.variations.hidden_activation,
        })
    }

    /// The block of one expert out of tensors that hold all experts: `gate_up_proj`,
    /// `[2 * intermediate, hidden]`, and `down_proj`, `[hidden, intermediate]`.
    pub(super) fn from_expert(
        weights: &Weights,
        gate_up_proj: Tensor,
        down_proj: Tensor,
    ) -> Result<Self, TchError> {
        let (hidden, intermediate) = down_proj.size2()?;
        let gate_up_modules = ["gate_proj", "up_proj"]
            .map(|name| weights.linear_module(name, hidden, intermediate))
            .into();
        let down_modules = vec![weights.linear_module("down_proj", intermediate, hidden)];
        Ok(Self {
            gate_up_proj: Linear::new(gate_up_proj, None, gate_up_modules),
            down_proj: Linear::new(down_proj, None, down_modules),
            activation: weights.configuration.variations.hidden_activation,
        })
    }

    pub(super) fn linears(&self) -> [&Linear; 2] {
        [&self.gate_up_proj, &self.down_proj]
    }

    /// `x` and the result are `[tokens, hidden]`.
    pub(super) fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        let gate_up = self.gate_up_proj.forward_fused(x, adapters)?;
        let [gate, up] = gate_up.as_slice() else {
            unreachable!("gate_up_proj is loaded with two modules")
        };
        let gate = self.activation.forward(gate)?;
        self.down_proj.forward(&gate.f_mul(up)?, adapters)
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
