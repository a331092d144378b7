//! What follows attention in a layer: one MLP, or experts.

use tch::{TchError, Tensor};

use super::Weight;
use super::experts::Experts;
use super::linear::Linear;
use super::mlp::Mlp;
use super::parts::Parts;
use crate::ModelError;
use crate::adapter::Adapters;

pub(super) enum FeedForward {
    Mlp(Mlp),
    Experts(Experts),
}

impl FeedForward {
    /// Reads the block of `layer` named `prefix`.
    pub(super) fn load(parts: &Parts, layer: i64, prefix: &str) -> Result<Self, ModelError> {
        let experts = parts.configuration.experts.as_ref();
        match experts.filter(|experts| experts.layers.contains(&layer)) {
            Some(experts) => Ok(Self::Experts(Experts::load(parts, experts, prefix)?)),
            None => {
                let width = parts.configuration.intermediate_size;
                Ok(Self::Mlp(Mlp::load(parts, prefix, width)?))
            }
        }
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        match self {
            Self::Mlp(mlp) => mlp.linears().to_vec(),
            Self::Experts(experts) => experts.linears(),
        }
    }

    pub(super) fn router_weights(&self) -> Vec<&Weight> {
        match self {
            Self::Mlp(_) => vec![],
            Self::Experts(experts) => experts.router_weights(),
        }
    }

    /// `x`, and the result, are `[tokens, hidden]`.
    pub(super) fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        match self {
            Self::Mlp(mlp) => mlp.forward(x, adapters),
            Self::Experts(experts) => experts.forward(x, adapters),
        }
    }
}
