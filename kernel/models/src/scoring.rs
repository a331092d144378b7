//! Scoring: the log-probabilities of given responses.

use offmodel_events::{Progress, interrupt};
use tch::{Device, TchError, Tensor};

use crate::ModelError;
use crate::adapter::Adapters;
use crate::example::{Example, PackedExamples, micro_batches};
use crate::transformer::Transformer;

/// Tokens of one forward pass.
const MAX_TOKENS_PER_PASS: usize = 4096;
/// Logits that exist at a time. With a large vocabulary, the logits of a whole pass would take more
/// memory than everything else together.
const MAX_LOGITS: i64 = 1 << 22;

/// The natural logarithm of the probability of every response token of every example.
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
    let mut all = Vec::with_capacity(examples.len());
    for group in micro_batches(&lengths, MAX_TOKENS_PER_PASS) {
        let group: Vec<&Example> = examples[group].iter().collect();
        let packed = PackedExamples::new(&group, device)?;
        // [targets, hidden]
        let hidden = transformer.forward(&packed.inputs, adapters)?;
        let hidden = hidden.f_index_select(0, &packed.positions)?;
        let mut flat: Vec<f32> = Vec::new();
        for (hidden, targets) in logits_chunks(transformer, &hidden, &packed.targets)? {
            interrupt::check()?;
            let logits = transformer.logits(&hidden, adapters)?;
            let chunk = log_probabilities_of(&targets, &logits)?;
            flat.extend(Vec::<f32>::try_from(&chunk)?);
        }
        let mut flat = flat.into_iter();
        for example in &group {
            all.push(flat.by_ref().take(example.response().len()).collect());
        }
        progress.advance(group.len() as u64);
    }
    Ok(all)
}

/// Splits hidden states, `[targets, hidden]`, and their targets, `[targets]`, so that the logits of
/// a part are at most [`MAX_LOGITS`] numbers.
pub(crate) fn logits_chunks(
    transformer: &Transformer,
    hidden: &Tensor,
    targets: &Tensor,
) -> Result<Vec<(Tensor, Tensor)>, TchError> {
    let rows = (MAX_LOGITS / transformer.vocab_size()).max(1);
    let hidden = hidden.f_split(rows, 0)?;
    let targets = targets.f_split(rows, 0)?;
    Ok(hidden.into_iter().zip(targets).collect())
}

/// `log_softmax(logits)` at the targets: logits are `[n, vocabulary]`, targets and result `[n]`.
fn log_probabilities_of(targets: &Tensor, logits: &Tensor) -> Result<Tensor, TchError> {
    let of_targets = logits
        .f_gather(-1, &targets.f_unsqueeze(-1)?, false)?
        .f_squeeze_dim(-1)?;
    of_targets.f_sub(&logits.f_logsumexp(-1, false)?)
}
