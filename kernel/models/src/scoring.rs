//! How likely a model finds responses.

use offmodel_events::{Progress, interrupt};
use tch::{Device, TchError, Tensor};

use crate::ModelError;
use crate::adapter::Adapters;
use crate::example::{Example, PackedExamples, runs};
use crate::transformer::Transformer;

/// Tokens of one pass, if it has more than one example.
const PASS_TOKENS: usize = 4096;
/// Logits that are held at once: for a large vocabulary they outweigh everything else.
pub(crate) const HELD_LOGITS: i64 = 1 << 22;

/// The natural log-probability of every response token of every example.
pub(crate) fn log_probabilities(
    transformer: &Transformer,
    adapters: &Adapters,
    examples: &[Example],
    device: Device,
) -> Result<Vec<Vec<f32>>, ModelError> {
    let _no_grad = tch::no_grad_guard();
    let mut progress = Progress::new("scoring", examples.len() as u64);
    let lengths: Vec<usize> = examples
        .iter()
        .map(|example| example.tokens.len())
        .collect();
    let mut scores = Vec::with_capacity(examples.len());
    for run in runs(&lengths, PASS_TOKENS) {
        let run: Vec<&Example> = examples[run].iter().collect();
        let packed = PackedExamples::new(&run, device)?;
        let output = transformer.forward(&packed.inputs, adapters)?;
        let output = output.f_index_select(0, &packed.positions)?;
        let mut flat: Vec<f32> = Vec::new();
        let chunk = (HELD_LOGITS / transformer.vocab_size()).max(1);
        let targets = packed.targets.f_split(chunk, 0)?;
        for (output, targets) in output.f_split(chunk, 0)?.iter().zip(&targets) {
            interrupt::check()?;
            let logits = transformer.logits(output, adapters)?;
            flat.extend(Vec::<f32>::try_from(of_targets(&logits, targets)?)?);
        }
        let mut flat = flat.into_iter();
        for example in &run {
            scores.push(flat.by_ref().take(example.response().len()).collect());
        }
        progress.advance(run.len() as u64);
    }
    Ok(scores)
}

/// log softmax(`logits`, `[n, vocabulary]`) at `targets`, `[n]`.
fn of_targets(logits: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
    let chosen = logits
        .f_gather(-1, &targets.f_unsqueeze(-1)?, false)?
        .f_squeeze_dim(-1)?;
    chosen.f_sub(&logits.f_logsumexp(-1, false)?)
}
