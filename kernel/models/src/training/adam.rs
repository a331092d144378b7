//! The Adam optimizer (<https://arxiv.org/abs/1412.6980>), as in `torch.optim.Adam`.

use tch::{TchError, Tensor};

use super::SftOptions;

pub(super) struct Adam {
    states: Vec<ParameterState>,
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    /// Steps that have been taken.
    step: i32,
}

/// A parameter with its moving averages, named as in PyTorch.
struct ParameterState {
    parameter: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
}

impl Adam {
    /// `parameters` share their storage with the tensors that are to be trained.
    pub(super) fn new(parameters: Vec<Tensor>, options: &SftOptions) -> Result<Self, TchError> {
        let mut states = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            states.push(ParameterState {
                exp_avg: parameter.f_zeros_like()?,
                exp_avg_sq: parameter.f_zeros_like()?,
                parameter,
            });
        }
        Ok(Self {
            states,
            learning_rate: options.learning_rate,
            beta1: options.beta1,
            beta2: options.beta2,
            epsilon: options.epsilon,
            step: 0,
        })
    }

    /// Updates every parameter that has a gradient, then sets the gradients to zero.
    pub(super) fn step(&mut self) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        self.step += 1;
        let bias_correction1 = 1.0 - self.beta1.powi(self.step);
        let bias_correction2 = 1.0 - self.beta2.powi(self.step);
        let step_size = self.learning_rate / bias_correction1;
        for state in &mut self.states {
            let gradient = state.parameter.f_grad()?;
            if !gradient.defined() {
                continue;
            }
            let _ = state.exp_avg.f_lerp_(&gradient, 1.0 - self.beta1)?;
            let _ = state
                .exp_avg_sq
                .f_lerp_(&gradient.f_square()?, 1.0 - self.beta2)?;
            let denominator = state
                .exp_avg_sq
                .f_sqrt()?
                .f_div_scalar_(bias_correction2.sqrt())?
                .f_add_scalar_(self.epsilon)?;
            let update = state
                .exp_avg
                .f_div(&denominator)?
                .f_mul_scalar_(step_size)?;
            let _ = state.parameter.f_sub_(&update)?;
            state.parameter.zero_grad();
        }
        Ok(())
    }
}
