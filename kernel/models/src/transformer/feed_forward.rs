//! The block after attention: an MLP, a mixture of experts, or both.

use tch::{TchError, Tensor};

use super::linear::Linear;
use super::mlp::Mlp;
use super::moe::SparseMoe;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::Adapters;

/// The feed-forward block of a layer.
pub(super) enum FeedForward {
    Mlp(Mlp),
    Moe(Box<SparseMoe>),
    MlpAndMoe(Box<MlpAndMoe>),
}

/// An MLP and experts side by side, each with norms of its own (`Gemma4TextDecoderLayer`).
pub(super) struct MlpAndMoe {
    mlp: Mlp,
    post_feedforward_layernorm_1: RmsNorm,
    pre_feedforward_layernorm_2: RmsNorm,
    moe: SparseMoe,
    post_feedforward_layernorm_2: RmsNorm,
}

impl FeedForward {
    /// Reads the block of `layer`, whose weights are at `weights`, such as `model.layers.0`.
    pub(super) fn load(weights: &Weights, layer: i64) -> Result<Self, ModelError> {
        let configuration = weights.configuration;
        let mlp = || {
            let shares_kv = configuration.kv_source_layer(layer) != Some(layer);
            let is_double = configuration.variations.use_double_wide_mlp && shares_kv;
            let factor = if is_double { 2 } else { 1 };
            Mlp::load(&weights.pp("mlp"), factor * configuration.intermediate_size)
        };
        let moe = configuration.moe.as_ref();
        match moe.filter(|moe| moe.layers.contains(&layer)) {
            None => Ok(Self::Mlp(mlp()?)),
            Some(moe) if moe.beside_mlp => {
                let norm = |name: &str| weights.rms_norm(name, configuration.hidden_size);
                Ok(Self::MlpAndMoe(Box::new(MlpAndMoe {
                    mlp: mlp()?,
                    post_feedforward_layernorm_1: norm("post_feedforward_layernorm_1")?,
                    pre_feedforward_layernorm_2: norm("pre_feedforward_layernorm_2")?,
                    moe: SparseMoe::load_stacked(weights, moe)?,
                    post_feedforward_layernorm_2: norm("post_feedforward_layernorm_2")?,
                })))
            }
            Some(moe) => {
                let moe = SparseMoe::load(&weights.pp("mlp"), moe)?;
                Ok(Self::Moe(Box::new(moe)))
            }
        }
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        match self {
            Self::Mlp(mlp) => mlp.linears().to_vec(),
            Self::Moe(moe) => moe.linears(),
            Self::MlpAndMoe(both) => {
                let mut linears = both.mlp.linears().to_vec();
                linears.extend(both.moe.linears());
                linears
            }
        }
    }

    /// The weights outside the linear layers.
    pub(super) fn parameters(&self) -> Vec<&Parameter> {
        match self {
            Self::Mlp(_) => vec![],
            Self::Moe(moe) => moe.parameters(),
            Self::MlpAndMoe(both) => {
                let norms = [
                    &both.post_feedforward_layernorm_1,
                    &both.pre_feedforward_layernorm_2,
                    &both.post_feedforward_layernorm_2,
                ];
                let norms = norms.into_iter().filter_map(RmsNorm::weight);
                norms.chain(both.moe.parameters()).collect()
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
            Self::Moe(moe) => moe.forward(normed, normed, adapters),
            Self::MlpAndMoe(both) => {
                let dense = both.mlp.forward(normed, adapters)?;
                let moe_input = both.pre_feedforward_layernorm_2.forward(x)?;
                // The router normalises `x` itself.
                let sparse = both.moe.forward(&moe_input, x, adapters)?;
                both.post_feedforward_layernorm_1
                    .forward(&dense)?
                    .f_add(&both.post_feedforward_layernorm_2.forward(&sparse)?)
            }
        }
    }
}
