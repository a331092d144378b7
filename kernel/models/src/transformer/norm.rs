//! Root-mean-square normalisation.

use tch::{Kind, TchError, Tensor};

use super::parameter::Parameter;

/// `x / sqrt(mean(x^2) + epsilon) * weight` over the last dimension
/// (<https://arxiv.org/abs/1910.07467>), computed in `f32` whatever the kind of `x`.
pub(super) struct RmsNorm {
    /// `[size]`; absent means all ones.
    weight: Option<Parameter>,
    size: i64,
    epsilon: f64,
}

impl RmsNorm {
    pub(super) fn new(weight: Option<Parameter>, size: i64, epsilon: f64) -> Self {
        Self {
            weight,
            size,
            epsilon,
        }
    }

    pub(super) fn weight(&self) -> Option<&Parameter> {
        self.weight.as_ref()
    }

    /// Normalises `x`, `[..., size]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match self.weight.as_deref() {
            // A weight in f32 multiplies before the result is rounded to the kind of `x`.
            Some(weight) if weight.kind() != x.kind() => x
                .f_to_kind(Kind::Float)?
                .f_rms_norm([self.size], Some(weight), self.epsilon)?
                .f_to_kind(x.kind()),
            weight => x.f_rms_norm([self.size], weight, self.epsilon),
        }
    }
}
