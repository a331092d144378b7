//! Gradients through the layers, one after the other.

use offmodel_events::interrupt;
use tch::{Kind, Tensor};

use crate::ModelError;

/// A pass whose gradient graph is cut between the layers: gradients go back one layer at a time,
/// which frees its memory, and an interrupt is heard in between.
pub(crate) struct Tape {
    /// The input of each layer, a leaf of the graph, and the output of the layer before it.
    pub(super) layers: Vec<(Tensor, Tensor)>,
    pub(super) output: Tensor,
}

impl Tape {
    /// The last layer's output, `[tokens, hidden]`.
    pub(crate) fn output(&self) -> &Tensor {
        &self.output
    }

    /// Adds to the parameters' gradients, where `gradient`, `[tokens, hidden]`, is d loss /
    /// d output.
    pub(crate) fn backward(mut self, gradient: Tensor) -> Result<(), ModelError> {
        let (mut output, mut gradient) = (self.output, gradient);
        while output.requires_grad() {
            interrupt::check()?;
            // A scalar that has this gradient.
            output.f_mul(&gradient)?.f_sum(Kind::Float)?.f_backward()?;
            let Some((input, before)) = self.layers.pop() else {
                break;
            };
            if !before.requires_grad() {
                break;
            }
            (output, gradient) = (before, input.f_grad()?);
        }
        Ok(())
    }
}
