//! The Adam optimizer (<https://arxiv.org/abs/1412.6980>), as `torch.optim.Adam`.

use tch::{TchError, Tensor};

use super::SftOptions;

/// Parameters and their running means.
pub(super) struct Adam {
    parameters: Vec<Parameter>,
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    steps: i32,
}

struct Parameter {
    value: Tensor,
    mean: Tensor,
    mean_square: Tensor,
}

impl Adam {
    /// `parameters` are handles on the storage that is to be updated.
    pub(super) fn new(parameters: Vec<Tensor>, options: &SftOptions) -> Result<Self, TchError> {
        let mut with_means = Vec::with_capacity(parameters.len());
        for value in parameters {
            let (mean, mean_square) = (value.f_zeros_like()?, value.f_zeros_like()?);
            with_means.push(Parameter {
                value,
                mean,
                mean_square,
            });
        }
        Ok(Self {
            parameters: with_means,
            learning_rate: options.learning_rate,
            beta1: options.beta1,
            beta2: options.beta2,
            epsilon: options.epsilon,
            steps: 0,
        })
    }

    /// Updates every parameter that has a gradient, and forgets the gradients.
    pub(super) fn step(&mut self) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        self.steps += 1;
        let step_size = self.learning_rate / (1.0 - self.beta1.powi(self.steps));
        let correction = (1.0 - self.beta2.powi(self.steps)).sqrt();
        for parameter in &mut self.parameters {
            let gradient = parameter.value.f_grad()?;
            if !gradient.defined() {
                continue;
            }
            let _ = parameter.mean.f_lerp_(&gradient, 1.0 - self.beta1)?;
            let _ = parameter
                .mean_square
                .f_lerp_(&gradient.f_square()?, 1.0 - self.beta2)?;
            let denominator = parameter
                .mean_square
                .f_sqrt()?
                .f_div_scalar_(correction)?
                .f_add_scalar_(self.epsilon)?;
            let update = parameter
                .mean
                .f_div(&denominator)?
                .f_mul_scalar_(step_size)?;
            let _ = parameter.value.f_sub_(&update)?;
            parameter.value.zero_grad();
        }
        Ok(())
    }
}
