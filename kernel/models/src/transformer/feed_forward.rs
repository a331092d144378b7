//! What follows attention in a layer: one MLP, experts, or both.

use tch::{TchError, Tensor};

use super::linear::Linear;
use super::mlp::Mlp;
use super::moe::Experts;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;

pub(super) enum FeedForward {
    Mlp(Mlp),
    Experts(Box<Experts>),
    Both(Box<Both>),
}

/// An MLP and experts side by side, each with norms of its own (Gemma 4).
pub(super) struct Both {
    mlp: Mlp,
    after_mlp: RmsNorm,
    before_experts: RmsNorm,
    experts: Experts,
    after_experts: RmsNorm,
}

impl FeedForward {
    /// Reads the block of `layer`, which is named `prefix`, such as `model.layers.0`.
    pub(super) fn load(weights: &Weights, layer: i64, prefix: &str) -> Result<Self, ModelError> {
        let configuration = weights.configuration;
        let experts = configuration.experts.as_ref();
        let experts = experts.filter(|experts| experts.layers.contains(&layer));
        let mlp = || {
            let shares = configuration.kv_source_layer(layer) != Some(layer);
            let width = match configuration.variations.use_double_wide_mlp && shares {
                true => 2 * configuration.intermediate_size,
                false => configuration.intermediate_size,
            };
            Mlp::load(weights, &format!("{prefix}.mlp"), width)
        };
        match experts {
            None => Ok(Self::Mlp(mlp()?)),
            Some(shape) if shape.beside_mlp => {
                let norm = |name: &str| {
                    let name = format!("{prefix}.{name}");
                    weights.norm(&name, configuration.hidden_size)
                };
                Ok(Self::Both(Box::new(Both {
                    mlp: mlp()?,
                    after_mlp: norm("post_feedforward_layernorm_1")?,
                    before_experts: norm("pre_feedforward_layernorm_2")?,
                    experts: Experts::load_stacked(weights, shape, prefix)?,
                    after_experts: norm("post_feedforward_layernorm_2")?,
                })))
            }
            Some(shape) => {
                let experts = Experts::load(weights, shape, &format!("{prefix}.mlp"))?;
                Ok(Self::Experts(Box::new(experts)))
            }
        }
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        match self {
            Self::Mlp(mlp) => mlp.linears().to_vec(),
            Self::Experts(experts) => experts.linears(),
            Self::Both(both) => {
                let mut linears = both.mlp.linears().to_vec();
                linears.extend(both.experts.linears());
                linears
            }
        }
    }

    /// The weights that belong to no linear map.
    pub(super) fn other_weights(&self) -> Vec<&Parameter> {
        match self {
            Self::Mlp(_) => vec![],
            Self::Experts(experts) => experts.router_weights(),
            Self::Both(both) => {
                let norms = [&both.after_mlp, &both.before_experts, &both.after_experts];
                let norms = norms.into_iter().filter_map(RmsNorm::weight);
                norms.chain(both.experts.router_weights()).collect()
            }
        }
    }

    /// `x`, its norm and the result are `[tokens, hidden]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        normed: &Tensor,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        match self {
            Self::Mlp(mlp) => mlp.forward(normed, adapters),
            Self::Experts(experts) => experts.forward(normed, normed, adapters),
            Self::Both(both) => {
                let dense = both.mlp.forward(normed, adapters)?;
                let input = both.before_experts.forward(x)?;
                // The router has a norm of its own.
                let sparse = both.experts.forward(&input, x, adapters)?;
                both.after_mlp
                    .forward(&dense)?
                    .f_add(&both.after_experts.forward(&sparse)?)
            }
        }
    }
}
