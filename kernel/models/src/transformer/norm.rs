//! Root-mean-square normalisation.

use tch::{TchError, Tensor};

use super::Weight;

/// `x / sqrt(mean(x^2) + epsilon) * weight` over the last dimension
/// (<https://arxiv.org/abs/1910.07467>).
pub(super) struct RmsNorm {
    pub(super) weight: Weight,
    pub(super) epsilon: f64,
}

impl RmsNorm {
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_rms_norm(self.weight.size(), Some(&*self.weight), self.epsilon)
    }
}
