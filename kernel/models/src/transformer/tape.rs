//! Gradients through the layers, one layer after the other.

use offmodel_events::interrupt;
use tch::{Kind, Tensor};

use crate::ModelError;

/// A forward pass whose gradient graph is cut between the layers.
///
/// The backward pass then goes through one layer at a time, which frees the layer's graph and lets
/// an interrupt through before the next one.
pub(crate) struct Tape {
    /// For each layer, its input (a leaf of the graph) and the output of the layer before it.
    pub(super) layers: Vec<(Tensor, Tensor)>,
    pub(super) output: Tensor,
}

impl Tape {
    /// The output of the last layer, `[tokens, hidden]`.
    pub(crate) fn output(&self) -> &Tensor {
        &self.output
    }

    /// Adds to the gradients of the parameters, given the gradient of the loss with respect to the
    /// output, `[tokens, hidden]`.
    pub(crate) fn backward(mut self, gradient: Tensor) -> Result<(), ModelError> {
        let (mut output, mut gradient) = (self.output, gradient);
        while output.requires_grad() {
            interrupt::check()?;
            // `tch` differentiates scalars only; the gradient of this one with respect to `output`
            // is `gradient`.
            output.f_mul(&gradient)?.f_sum(Kind::Float)?.f_backward()?;
            let Some((input, previous_output)) = self.layers.pop() else {
                break;
            };
            if !previous_output.requires_grad() {
                break;
            }
            (output, gradient) = (previous_output, input.f_grad()?);
        }
        Ok(())
    }
}
