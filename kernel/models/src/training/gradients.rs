//! Loss and gradients of one batch.

use offmodel_events::interrupt;
use tch::{Device, Reduction, Tensor};

use crate::ModelError;
use crate::adapter::{Adapter, Adapters};
use crate::example::{Example, PackedExamples, micro_batches};
use crate::scoring::logits_chunks;
use crate::transformer::Transformer;

/// Adds the gradients of a batch to those of the adapter's parameters. Returns the loss: the sum of
/// `-log p(token)` over all response tokens.
pub(super) fn accumulate(
    transformer: &Transformer,
    adapter: &Adapter,
    batch: &[&Example],
    micro_batch_tokens: usize,
    device: Device,
) -> Result<f64, ModelError> {
    let adapters = Adapters::One(adapter);
    let mut loss = 0.0;
    let lengths: Vec<usize> = batch.iter().map(|example| example.tokens.len()).collect();
    for micro_batch in micro_batches(&lengths, micro_batch_tokens) {
        let packed = PackedExamples::new(&batch[micro_batch], device)?;
        let tape = transformer.forward_with_tape(&packed.inputs, &adapters)?;
        // [tokens, hidden]
        let hidden = tape.output().f_detach()?;
        let (micro_batch_loss, gradient) = loss_and_gradient(
            transformer,
            &adapters,
            &hidden.f_index_select(0, &packed.positions)?,
            &packed.targets,
        )?;
        loss += micro_batch_loss;
        // Prompt tokens carry no loss, so their gradient is zero.
        let gradient = hidden
            .f_zeros_like()?
            .f_index_copy(0, &packed.positions, &gradient)?;
        tape.backward(gradient)?;
    }
    Ok(loss)
}

/// The loss of the output layer, and its gradient with respect to `hidden`, the last layer's output,
/// `[targets, hidden]`. Also adds the gradients of an adapted output layer.
///
/// Chunk by chunk, each forward and backward before the next, because the logits of a whole batch
/// would take more memory than everything else together.
fn loss_and_gradient(
    transformer: &Transformer,
    adapters: &Adapters,
    hidden: &Tensor,
    targets: &Tensor,
) -> Result<(f64, Tensor), ModelError> {
    let mut loss = 0.0;
    let mut gradients = Vec::new();
    for (hidden, targets) in logits_chunks(transformer, hidden, targets)? {
        interrupt::check()?;
        let hidden = hidden.f_detach()?.f_requires_grad_(true)?;
        let logits = transformer.logits(&hidden, adapters)?;
        let chunk_loss =
            logits.f_cross_entropy_loss(&targets, None::<&Tensor>, Reduction::Sum, -100, 0.0)?;
        chunk_loss.f_backward()?;
        loss += chunk_loss.f_double_value(&[])?;
        gradients.push(hidden.f_grad()?);
    }
    Ok((loss, Tensor::f_cat(&gradients, 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::adam::Adam;
    use crate::{Model, SftOptions};
    use serde_json::Value as Json;

    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");

    fn examples(recorded: &Json) -> Vec<Example> {
        let example = |one: &Json| Example {
            tokens: serde_json::from_value(one["tokens"].clone()).unwrap(),
            prompt: serde_json::from_value(one["prompt"].clone()).unwrap(),
        };
        recorded.as_array().unwrap().iter().map(example).collect()
    }

    /// The adapters are rank-stabilised, have patterns of ranks and alphas, or are on output layers,
    /// on modules with biases and on latent attention. `tests/reference/peft_adapters.py` recorded
    /// the losses.
    #[test]
    fn training_steps_of_small_models_have_the_losses_of_peft() {
        let recorded = std::fs::read(format!("{FIXTURES}/adapters_training.json")).unwrap();
        let recorded: Json = serde_json::from_slice(&recorded).unwrap();
        let options = SftOptions {
            learning_rate: recorded["learning_rate"].as_f64().unwrap(),
            beta1: recorded["betas"][0].as_f64().unwrap(),
            beta2: recorded["betas"][1].as_f64().unwrap(),
            ..SftOptions::default()
        };
        let cases = recorded["cases"].as_object().unwrap();
        assert_eq!(cases.len(), 6);
        for (name, case) in cases {
            let folder = format!("{FIXTURES}/adapters/{name}");
            let base = std::fs::read_to_string(format!("{folder}/base")).unwrap();
            let model = Model::load(&format!("{FIXTURES}/architectures/{}", base.trim())).unwrap();
            let student = model.load_adapter(&folder).unwrap();
            let adapter = student.adapter().unwrap().trainable().unwrap();
            let mut optimizer = Adam::new(adapter.parameters(), &options).unwrap();
            let examples = examples(&case["examples"]);
            let batch: Vec<&Example> = examples.iter().collect();
            for (step, expected) in case["losses"].as_array().unwrap().iter().enumerate() {
                let expected = expected.as_f64().unwrap();
                // 24 tokens make two micro-batches of the batch.
                let device = student.device();
                let found =
                    accumulate(student.transformer(), &adapter, &batch, 24, device).unwrap();
                let difference = (found / expected - 1.0).abs();
                assert!(
                    difference < 1e-4,
                    "{name}, step {step}: {found} instead of {expected}"
                );
                optimizer.step().unwrap();
            }
        }
    }
}
