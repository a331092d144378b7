//! Loss and gradients of one batch.

use tch::{Device, Kind, Reduction, TchError, Tensor};

use crate::ModelError;
use crate::adapter::{Adapter, Adapters};
use crate::example::{Example, PackedExamples, runs};
use crate::scoring::HELD_LOGITS;
use crate::transformer::Transformer;

/// Adds the gradients of a batch to the adapter's parameters; returns the sum over all response
/// tokens of -log p(token).
pub(super) fn accumulate(
    transformer: &Transformer,
    adapter: &Adapter,
    batch: &[&Example],
    tokens_at_once: usize,
    device: Device,
) -> Result<f64, ModelError> {
    let adapters = Adapters::One(adapter);
    let mut loss = 0.0;
    let lengths: Vec<usize> = batch.iter().map(|example| example.tokens.len()).collect();
    for run in runs(&lengths, tokens_at_once) {
        offmodel_events::interrupt::check()?;
        let packed = PackedExamples::new(&batch[run], device)?;
        let output = transformer.sequences(&packed.inputs, &adapters)?;
        let output = output.f_index_select(0, &packed.positions)?;
        let (run_loss, gradient) =
            output_gradient(transformer, &adapters, &output.f_detach()?, &packed.targets)?;
        loss += run_loss;
        // d loss / d parameters of the layers, by way of a scalar with the same gradient.
        if output.requires_grad() {
            output.f_mul(&gradient)?.f_sum(Kind::Float)?.f_backward()?;
        }
    }
    Ok(loss)
}

/// The loss, and its gradient with respect to `output`, `[targets, hidden]`, of the last layer.
///
/// The output layer is done in parts, each forwards and backwards before the next, because the
/// logits of a whole batch are larger than everything else together.
fn output_gradient(
    transformer: &Transformer,
    adapters: &Adapters,
    output: &Tensor,
    targets: &Tensor,
) -> Result<(f64, Tensor), TchError> {
    let vocabulary = transformer.vocabulary();
    let chunk = (HELD_LOGITS / vocabulary).max(1);
    let mut loss = 0.0;
    let mut gradients = Vec::new();
    for (output, targets) in output
        .f_split(chunk, 0)?
        .iter()
        .zip(&targets.f_split(chunk, 0)?)
    {
        let output = output.f_detach()?.f_requires_grad_(true)?;
        let logits = transformer.logits(&output, adapters)?;
        let part =
            logits.f_cross_entropy_loss(targets, None::<&Tensor>, Reduction::Sum, -100, 0.0)?;
        part.f_backward()?;
        loss += part.f_double_value(&[])?;
        gradients.push(output.f_grad()?);
    }
    Ok((loss, Tensor::f_cat(&gradients, 0)?))
}
