//! A layer of experts among which a router chooses for each token.

use tch::{Kind, TchError, Tensor};

use super::linear::Linear;
use super::mlp::Mlp;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::{AdapterGroup, Adapters};
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
    /// From `hidden` numbers to a logit for each expert.
    gate: Linear,
    /// Added to the scores where experts are chosen, not where they are weighted: `[experts]`.
    bias: Option<Parameter>,
    scales: Option<Scales>,
    shape: Shape,
}

/// What [`Scoring::NormedSoftmax`] has beside its weight.
struct Scales {
    norm: RmsNorm,
    /// Of the normalised input: `[hidden]`.
    input: Parameter,
    /// Of the weight of each expert: `[experts]`.
    expert: Parameter,
}

impl Experts {
    /// Reads the experts of the block named `prefix`, such as `model.layers.0.mlp`.
    pub(super) fn load(weights: &Weights, shape: &Shape, prefix: &str) -> Result<Self, ModelError> {
        let mut experts = Vec::new();
        for expert in 0..shape.count {
            let prefix = format!("{prefix}.experts.{expert}");
            experts.push(Mlp::load(weights, &prefix, shape.intermediate_size)?);
        }
        let shared = match shape.shared_intermediate_size {
            0 => None,
            width => Some(Mlp::load(
                weights,
                &format!("{prefix}.shared_experts"),
                width,
            )?),
        };
        let (kind, bias) = match shape.scoring {
            Scoring::Softmax | Scoring::NormedSoftmax => (weights.kind, None),
            Scoring::Sigmoid { .. } => {
                let bias = format!("{prefix}.gate.e_score_correction_bias");
                let bias = weights.exact_weight(&bias, &[shape.count])?;
                // The reference computes these scores in f32 whatever the kind of the model.
                (Kind::Float, Some(bias))
            }
        };
        let gate = [("gate", weights.configuration.hidden_size, shape.count)];
        let router = Router {
            gate: Weights { kind, ..*weights }.linear(prefix, &gate, false)?,
            bias,
            scales: None,
            shape: shape.clone(),
        };
        Ok(Self {
            router,
            experts,
            shared,
        })
    }

    /// Reads experts that the checkpoint has as one tensor, and their router, of the layer named
    /// `prefix`, such as `model.layers.0`.
    pub(super) fn load_stacked(
        weights: &Weights,
        shape: &Shape,
        prefix: &str,
    ) -> Result<Self, ModelError> {
        let (count, width) = (shape.count, shape.intermediate_size);
        let hidden = weights.configuration.hidden_size;
        let stacked =
            |name: &str, size: [i64; 3]| weights.tensor(&format!("{prefix}.experts.{name}"), &size);
        let gate_up = stacked("gate_up_proj", [count, 2 * width, hidden])?;
        let down = stacked("down_proj", [count, hidden, width])?;
        let mut experts = Vec::new();
        for expert in 0..count {
            experts.push(Mlp::of_expert(
                gate_up.f_select(0, expert)?,
                down.f_select(0, expert)?,
                &format!("{prefix}.experts.{expert}"),
                weights.configuration.variations.activation,
            )?);
        }
        let router = |name: &str| format!("{prefix}.router.{name}");
        let scales = Scales {
            norm: weights.plain_norm(hidden),
            input: weights.weight(&router("scale"), &[hidden])?,
            expert: weights.weight(&router("per_expert_scale"), &[count])?,
        };
        let router = Router {
            gate: weights.linear(
                &format!("{prefix}.router"),
                &[("proj", hidden, count)],
                false,
            )?,
            bias: None,
            scales: Some(scales),
            shape: shape.clone(),
        };
        Ok(Self {
            router,
            experts,
            shared: None,
        })
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        let blocks = self.experts.iter().chain(&self.shared);
        let blocks = blocks.flat_map(Mlp::linears);
        [&self.router.gate].into_iter().chain(blocks).collect()
    }

    /// The weights that belong to no linear map.
    pub(super) fn router_weights(&self) -> Vec<&Parameter> {
        let scales = self.router.scales.iter();
        let scales = scales.flat_map(|scales| [&scales.input, &scales.expert]);
        self.router.bias.iter().chain(scales).collect()
    }

    /// `x`, what the router sees, and the result are `[tokens, hidden]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        routed_by: &Tensor,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let Adapters::Several(shares) = adapters else {
            return self.forward_alike(x, routed_by, adapters);
        };
        // An expert's tokens are chosen anew for each pass, so adapters take turns: few experts
        // are common to the few tokens of each.
        let mut output = x.f_empty_like()?;
        for AdapterGroup { adapter, tokens } in shares {
            let tokens = tokens.f_to_device(x.device())?;
            let of_share = |tensor: &Tensor| tensor.f_index_select(0, &tokens);
            let adapters = (*adapter).into();
            let computed = self.forward_alike(&of_share(x)?, &of_share(routed_by)?, &adapters)?;
            output = output.f_index_copy_(0, &tokens, &computed)?;
        }
        Ok(output)
    }

    /// All tokens have the same adapter. An expert computes only the tokens it gets.
    fn forward_alike(
        &self,
        x: &Tensor,
        routed_by: &Tensor,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let (weights, chosen) = self.router.forward(routed_by, adapters)?;
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
            let weighted = computed.f_mul(&weights_of)?.f_to_kind(x.kind())?;
            output = output.f_index_add(0, &tokens_of, &weighted)?;
        }
        Ok(output)
    }
}

impl Router {
    /// Weights and indices of the chosen experts, both `[tokens, per_token]`.
    fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<(Tensor, Tensor), TchError> {
        let scaled;
        let x = match &self.scales {
            Some(scales) => {
                let root = (x.size2()?.1 as f64).powf(-0.5);
                let normed = scales.norm.forward(x)?;
                scaled = normed.f_mul(&scales.input)?.f_mul_scalar(root)?;
                &scaled
            }
            None => x,
        };
        let x = x.f_to_kind(self.gate.kind())?;
        let logits = self.gate.forward_one(&x, adapters)?;
        let logits = logits.f_to_kind(Kind::Float)?;
        let Shape {
            count,
            per_token,
            norm_topk_prob,
            scoring,
            ..
        } = self.shape;
        let (mut weights, chosen, smallest, factor) = match scoring {
            Scoring::Softmax | Scoring::NormedSoftmax => {
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
        if let Some(scales) = &self.scales {
            let factors = scales.expert.f_index(&[Some(&chosen)])?;
            weights = weights.f_mul(&factors)?;
        }
        Ok((weights, chosen))
    }
}
