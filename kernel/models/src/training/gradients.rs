//! Loss and gradients of one batch.

use offmodel_events::interrupt;
use tch::{Device, Reduction, Tensor};

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
    micro_batch_tokens: usize,
    device: Device,
) -> Result<f64, ModelError> {
    let adapters = Adapters::One(adapter);
    let mut loss = 0.0;
    let lengths: Vec<usize> = batch.iter().map(|example| example.tokens.len()).collect();
    for run in runs(&lengths, micro_batch_tokens) {
        let packed = PackedExamples::new(&batch[run], device)?;
        let tape = transformer.forward_with_tape(&packed.inputs, &adapters)?;
        let output = tape.output().f_detach()?;
        let (run_loss, gradient) = output_gradient(
            transformer,
            &adapters,
            &output.f_index_select(0, &packed.positions)?,
            &packed.targets,
        )?;
        loss += run_loss;
        // Nothing is asked of the other tokens.
        let gradient = output
            .f_zeros_like()?
            .f_index_copy(0, &packed.positions, &gradient)?;
        tape.backward(gradient)?;
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
) -> Result<(f64, Tensor), ModelError> {
    let vocabulary = transformer.vocab_size();
    let chunk = (HELD_LOGITS / vocabulary).max(1);
    let mut loss = 0.0;
    let mut gradients = Vec::new();
    for (output, targets) in output
        .f_split(chunk, 0)?
        .iter()
        .zip(&targets.f_split(chunk, 0)?)
    {
        interrupt::check()?;
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

    /// Recorded by `tests/reference/peft_adapters.py`: rank-stabilised, with patterns of ranks and
    /// alphas, on output layers, biases and latent attention.
    #[test]
    fn steps_of_small_models_are_those_of_peft() {
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
                // 24 tokens at once: the batch is made in two parts.
                let device = student.device();
                let found =
                    accumulate(student.transformer(), &adapter, &batch, 24, device).unwrap();
                let difference = (found / expected - 1.0).abs();
                assert!(
                    difference < 1e-4,
                    "{name}, step {step}: {found} for {expected}"
                );
                optimizer.step().unwrap();
            }
        }
    }
}
