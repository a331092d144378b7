//! A mixture of experts: a router chooses a few of many MLPs for each token.

use tch::{Kind, TchError, Tensor};

use super::linear::Linear;
use super::mlp::Mlp;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::weights::Weights;
use crate::ModelError;
use crate::adapter::{AdapterGroup, Adapters};
use crate::configuration::{MixtureOfExperts, Scoring};

/// Experts in place of an MLP (`Qwen3MoeSparseMoeBlock`, `DeepseekV3MoE`, `Gemma4TextExperts`).
pub(super) struct SparseMoe {
    router: Router,
    experts: Vec<Mlp>,
    /// The expert that every token goes through.
    shared_experts: Option<Mlp>,
}

/// Chooses the experts of a token and their weights.
struct Router {
    /// From the hidden state to one logit per expert; `proj` in Gemma 4.
    gate: Linear,
    /// Added to the scores for the choice of experts, not for their weights: `[experts]`.
    e_score_correction_bias: Option<Parameter>,
    scales: Option<RouterScales>,
    shape: MixtureOfExperts,
}

/// What [`Scoring::NormedSoftmax`] needs in addition to the gate.
struct RouterScales {
    norm: RmsNorm,
    /// Factor of the normalised input: `[hidden]`.
    scale: Parameter,
    /// Factor of the weight of each expert: `[experts]`.
    per_expert_scale: Parameter,
}

impl SparseMoe {
    /// Reads the experts at `weights`, such as `model.layers.0.mlp`, each of which has tensors of
    /// its own.
    pub(super) fn load(weights: &Weights, shape: &MixtureOfExperts) -> Result<Self, ModelError> {
        let mut experts = Vec::new();
        for expert in 0..shape.num_experts {
            let weights = weights.pp(&format!("experts.{expert}"));
            experts.push(Mlp::load(&weights, shape.moe_intermediate_size)?);
        }
        let shared_experts = match shape.shared_expert_intermediate_size {
            0 => None,
            size => Some(Mlp::load(&weights.pp("shared_experts"), size)?),
        };
        let (kind, bias) = match shape.scoring {
            Scoring::Softmax | Scoring::NormedSoftmax => (weights.kind, None),
            Scoring::Sigmoid { .. } => {
                // `DeepseekV3TopkRouter` computes these scores in f32 whatever the model's kind.
                let name = "gate.e_score_correction_bias";
                let bias = weights
                    .in_kind(Kind::Float)
                    .parameter(name, &[shape.num_experts])?;
                (Kind::Float, Some(bias))
            }
        };
        let hidden = weights.configuration.hidden_size;
        let router = Router {
            gate: weights
                .in_kind(kind)
                .linear("gate", hidden, shape.num_experts, false)?,
            e_score_correction_bias: bias,
            scales: None,
            shape: shape.clone(),
        };
        Ok(Self {
            router,
            experts,
            shared_experts,
        })
    }

    /// Reads the experts and the router of the layer at `weights`, such as `model.layers.0`, whose
    /// experts are stacked in one tensor.
    pub(super) fn load_stacked(
        weights: &Weights,
        shape: &MixtureOfExperts,
    ) -> Result<Self, ModelError> {
        let (num_experts, intermediate) = (shape.num_experts, shape.moe_intermediate_size);
        let hidden = weights.configuration.hidden_size;
        let stacked = weights.pp("experts");
        let gate_up = stacked.tensor("gate_up_proj", &[num_experts, 2 * intermediate, hidden])?;
        let down = stacked.tensor("down_proj", &[num_experts, hidden, intermediate])?;
        let mut experts = Vec::new();
        for expert in 0..num_experts {
            experts.push(Mlp::from_expert(
                &stacked.pp(&expert.to_string()),
                gate_up.f_select(0, expert)?,
                down.f_select(0, expert)?,
            )?);
        }
        let router = weights.pp("router");
        let scales = RouterScales {
            norm: weights.rms_norm_without_weight(hidden),
            scale: router.parameter("scale", &[hidden])?,
            per_expert_scale: router.parameter("per_expert_scale", &[num_experts])?,
        };
        let router = Router {
            gate: router.linear("proj", hidden, num_experts, false)?,
            e_score_correction_bias: None,
            scales: Some(scales),
            shape: shape.clone(),
        };
        Ok(Self {
            router,
            experts,
            shared_experts: None,
        })
    }

    pub(super) fn linears(&self) -> Vec<&Linear> {
        let mlps = self.experts.iter().chain(&self.shared_experts);
        let linears = mlps.flat_map(Mlp::linears);
        [&self.router.gate].into_iter().chain(linears).collect()
    }

    /// The weights outside the linear layers.
    pub(super) fn parameters(&self) -> Vec<&Parameter> {
        let scales = self.router.scales.iter();
        let scales = scales.flat_map(|scales| [&scales.scale, &scales.per_expert_scale]);
        let bias = self.router.e_score_correction_bias.iter();
        bias.chain(scales).collect()
    }

    /// `x`, the input of the router and the result are `[tokens, hidden]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        router_input: &Tensor,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let Adapters::Several(groups) = adapters else {
            return self.forward_with_one_adapter(x, router_input, adapters);
        };
        // The tokens of an expert are gathered anew in every forward pass, so the groups are
        // computed one after the other. That costs little: the few tokens of each group have few
        // experts in common.
        let mut output = x.f_empty_like()?;
        for AdapterGroup { adapter, tokens } in groups {
            let tokens = tokens.f_to_device(x.device())?;
            let select = |tensor: &Tensor| tensor.f_index_select(0, &tokens);
            let (x, router_input) = (select(x)?, select(router_input)?);
            let computed = self.forward_with_one_adapter(&x, &router_input, &(*adapter).into())?;
            output = output.f_index_copy_(0, &tokens, &computed)?;
        }
        Ok(output)
    }

    /// [`forward`](Self::forward) for tokens that all have the same adapter. Each expert computes
    /// only the tokens that chose it.
    fn forward_with_one_adapter(
        &self,
        x: &Tensor,
        router_input: &Tensor,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        // [tokens, num_experts_per_tok] each
        let (weights, chosen) = self.router.forward(router_input, adapters)?;
        let mut output = match &self.shared_experts {
            Some(shared) => shared.forward(x, adapters)?,
            None => x.f_zeros_like()?,
        };
        // Sorting the choices by expert needs only one transfer from the device: the counts.
        let flat = chosen.f_view(-1)?;
        let order = flat.f_argsort(-1, false)?;
        let counts = flat.f_bincount(None::<&Tensor>, self.experts.len() as i64)?;
        let counts = Vec::<i64>::try_from(counts)?;
        let tokens = order.f_floor_divide_scalar(self.router.shape.num_experts_per_tok)?;
        let weights = weights.f_view(-1)?.f_index_select(0, &order)?;
        let mut first = 0;
        for (expert, count) in self.experts.iter().zip(counts) {
            if count == 0 {
                continue;
            }
            let expert_tokens = tokens.f_narrow(0, first, count)?;
            let expert_weights = weights.f_narrow(0, first, count)?.f_unsqueeze(-1)?;
            first += count;
            let computed = expert.forward(&x.f_index_select(0, &expert_tokens)?, adapters)?;
            let weighted = computed.f_mul(&expert_weights)?.f_to_kind(x.kind())?;
            output = output.f_index_add(0, &expert_tokens, &weighted)?;
        }
        Ok(output)
    }
}

impl Router {
    /// Weights and indices of the chosen experts, both `[tokens, num_experts_per_tok]`, for `x`,
    /// `[tokens, hidden]`.
    ///
    /// The formulas are those of `Qwen3MoeTopKRouter`, `DeepseekV3TopkRouter` and `Gemma4TextRouter` in `transformers`.
    fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<(Tensor, Tensor), TchError> {
        let scaled;
        let x = match &self.scales {
            Some(scales) => {
                let inverse_root = (x.size2()?.1 as f64).powf(-0.5);
                let normed = scales.norm.forward(x)?;
                scaled = normed.f_mul(&scales.scale)?.f_mul_scalar(inverse_root)?;
                &scaled
            }
            None => x,
        };
        let x = x.f_to_kind(self.gate.kind())?;
        // [tokens, experts]
        let logits = self.gate.forward(&x, adapters)?.f_to_kind(Kind::Float)?;
        let MixtureOfExperts {
            num_experts,
            num_experts_per_tok,
            norm_topk_prob,
            scoring,
            ..
        } = self.shape;
        let (mut weights, chosen, epsilon, factor) = match scoring {
            Scoring::Softmax | Scoring::NormedSoftmax => {
                let scores = logits.f_softmax(-1, Kind::Float)?;
                let (weights, chosen) = scores.f_topk(num_experts_per_tok, -1, true, true)?;
                (weights, chosen, 0.0, 1.0)
            }
            Scoring::Sigmoid {
                n_group,
                topk_group,
                routed_scaling_factor,
            } => {
                let scores = logits.f_sigmoid()?;
                let biased = match &self.e_score_correction_bias {
                    Some(bias) => scores.f_add(bias)?,
                    None => scores.shallow_clone(),
                };
                let grouped = biased.f_view([-1, n_group, num_experts / n_group])?;
                let best_two = grouped.f_topk(2, -1, true, true)?.0;
                let group_scores = best_two.f_sum_dim_intlist(-1, false, Kind::Float)?;
                let best_groups = group_scores.f_topk(topk_group, -1, true, false)?.1;
                let is_excluded = group_scores
                    .f_ones_like()?
                    .f_scatter_value(1, &best_groups, 0.0)?
                    .f_to_kind(Kind::Bool)?
                    .f_unsqueeze(-1)?;
                // As in `transformers` 5.24 and in DeepSeek's own code: with 0 in place of -inf, an
                // excluded expert would win over an eligible one with a negative score.
                let eligible = grouped
                    .f_masked_fill(&is_excluded, f64::NEG_INFINITY)?
                    .f_view([-1, num_experts])?;
                let chosen = eligible.f_topk(num_experts_per_tok, -1, true, false)?.1;
                let weights = scores.f_gather(1, &chosen, false)?;
                (weights, chosen, 1e-20, routed_scaling_factor)
            }
        };
        if norm_topk_prob {
            let sum = weights.f_sum_dim_intlist(-1, true, Kind::Float)?;
            weights = weights.f_div(&sum.f_add_scalar(epsilon)?)?;
        }
        if factor != 1.0 {
            weights = weights.f_mul_scalar(factor)?;
        }
        if let Some(scales) = &self.scales {
            let factors = scales.per_expert_scale.f_index(&[Some(&chosen)])?;
            weights = weights.f_mul(&factors)?;
        }
        Ok((weights, chosen))
    }
}
