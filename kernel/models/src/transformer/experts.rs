//! A layer of experts among which a router chooses for each token.

use tch::{Kind, TchError, Tensor};

use super::Weight;
use super::linear::Linear;
use super::mlp::Mlp;
use super::parts::Parts;
use crate::ModelError;
use crate::adapter::{Adapters, Share};
use crate::configuration::{Experts as Shape, Scoring};

/// Experts in place of an MLP.
pub(super) struct Experts {
    router: Router,
    experts: Vec<Mlp>,
    /// Every token goes to it.
    shared: Option<Mlp>,
}

/// Which experts a token goes to, and with what weights.
struct Router {
    /// `[experts, hidden]`
    weight: Weight,
    /// Added to the scores where experts are chosen, not where they are weighted: `[experts]`.
    bias: Option<Weight>,
    shape: Shape,
}

impl Experts {
    /// Reads the experts of the block named `prefix`, such as `model.layers.0.mlp`.
    pub(super) fn load(parts: &Parts, shape: &Shape, prefix: &str) -> Result<Self, ModelError> {
        let mut experts = Vec::new();
        for expert in 0..shape.count {
            let prefix = format!("{prefix}.experts.{expert}");
            experts.push(Mlp::load(parts, &prefix, shape.intermediate_size)?);
        }
        let shared = match shape.shared_intermediate_size {
            0 => None,
            width => Some(Mlp::load(
                parts,
                &format!("{prefix}.shared_experts"),
                width,
            )?),
        };
        let bias = match shape.scoring {
            Scoring::Softmax => None,
            Scoring::Sigmoid { .. } => {
                let name = format!("{prefix}.gate.e_score_correction_bias");
                Some(parts.weight(&name, &[shape.count])?)
            }
        };
        let size = [shape.count, parts.configuration.hidden_size];
        let router = Router {
            weight: parts.weight(&format!("{prefix}.gate.weight"), &size)?,
            bias,
            shape: shape.clone(),
        };
        Ok(Self {
            router,
            experts,
            shared,
        })
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        let blocks = self.experts.iter().chain(&self.shared);
        blocks.flat_map(Mlp::linears).collect()
    }

    /// The weights that belong to no linear map to which an adapter may be attached.
    pub(super) fn router_weights(&self) -> Vec<&Weight> {
        let bias = self.router.bias.iter();
        [&self.router.weight].into_iter().chain(bias).collect()
    }

    /// `x`, and the result, are `[tokens, hidden]`.
    pub(super) fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        let Adapters::Several(shares) = adapters else {
            return self.forward_alike(x, adapters);
        };
        // An expert's tokens are chosen anew for each pass, so adapters take turns: few experts
        // are common to the few tokens of each.
        let mut output = x.f_empty_like()?;
        for Share { adapter, tokens } in shares {
            let x = x.f_index_select(0, tokens)?;
            let computed = self.forward_alike(&x, &(*adapter).into())?;
            output = output.f_index_copy_(0, tokens, &computed)?;
        }
        Ok(output)
    }

    /// All tokens have the same adapter. An expert computes only the tokens it gets.
    fn forward_alike(&self, x: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        let (weights, chosen) = self.router.forward(x)?;
        let mut output = match &self.shared {
            Some(shared) => shared.forward(x, adapters)?,
            None => x.f_zeros_like()?,
        };
        // Choices in the order of their experts: one transfer tells how many each has.
        let flat = chosen.f_view(-1)?;
        let order = flat.f_argsort(-1, false)?;
        let counts = flat.f_bincount(None::<&Tensor>, self.experts.len() as i64)?;
        let counts = Vec::<i64>::try_from(counts)?;
        let tokens = order.f_floor_divide_scalar(self.router.shape.per_token)?;
        let weights = weights.f_view(-1)?.f_index_select(0, &order)?;
        let mut first = 0;
        for (expert, count) in self.experts.iter().zip(counts) {
            if count == 0 {
                continue;
            }
            let tokens_of = tokens.f_narrow(0, first, count)?;
            let weights_of = weights.f_narrow(0, first, count)?.f_unsqueeze(-1)?;
            first += count;
            let computed = expert.forward(&x.f_index_select(0, &tokens_of)?, adapters)?;
            output = output.f_index_add(0, &tokens_of, &computed.f_mul(&weights_of)?)?;
        }
        Ok(output)
    }
}

impl Router {
    /// Weights and indices of the chosen experts, both `[tokens, per_token]`.
    fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let logits = x
            .f_to_kind(Kind::Float)?
            .f_linear(&self.weight, None::<&Tensor>)?;
        let Shape {
            count,
            per_token,
            norm_topk_prob,
            scoring,
            ..
        } = self.shape;
        let (mut weights, chosen, smallest, factor) = match scoring {
            Scoring::Softmax => {
                let scores = logits.f_softmax(-1, Kind::Float)?;
                let (weights, chosen) = scores.f_topk(per_token, -1, true, true)?;
                (weights, chosen, 0.0, 1.0)
            }
            Scoring::Sigmoid {
                n_group,
                topk_group,
                routed_scaling_factor,
            } => {
                let scores = logits.f_sigmoid()?;
                let choice = match &self.bias {
                    Some(bias) => scores.f_add(bias)?,
                    None => scores.shallow_clone(),
                };
                let grouped = choice.f_view([-1, n_group, count / n_group])?;
                let best_two = grouped.f_topk(2, -1, true, true)?.0;
                let group_scores = best_two.f_sum_dim_intlist(-1, false, Kind::Float)?;
                let groups = group_scores.f_topk(topk_group, -1, true, false)?.1;
                let closed = group_scores
                    .f_ones_like()?
                    .f_scatter_value(1, &groups, 0.0)?
                    .f_to_kind(Kind::Bool)?
                    .f_unsqueeze(-1)?;
                // The reference closes a group with 0, not with negative infinity.
                let open = grouped.f_masked_fill(&closed, 0.0)?.f_view([-1, count])?;
                let chosen = open.f_topk(per_token, -1, true, false)?.1;
                let weights = scores.f_gather(1, &chosen, false)?;
                (weights, chosen, 1e-20, routed_scaling_factor)
            }
        };
        if norm_topk_prob {
            let sum = weights.f_sum_dim_intlist(-1, true, Kind::Float)?;
            weights = weights.f_div(&sum.f_add_scalar(smallest)?)?;
        }
        if factor != 1.0 {
            weights = weights.f_mul_scalar(factor)?;
        }
        Ok((weights, chosen))
    }
}
