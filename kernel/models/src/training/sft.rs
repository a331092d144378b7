//! Supervised fine-tuning: from chats to an adapter.

use std::time::Instant;

use offmodel_events::{Progress, interrupt};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::{SftOptions, gradients};
use crate::adapter::Adapter;
use crate::{Chat, Model, ModelError};

/// The result of [`fine_tune`].
#[derive(Debug, Clone)]
pub struct FineTuned {
    /// The trained adapter.
    pub adapter: Adapter,
    /// A record of each step.
    pub steps: Vec<TrainingStep>,
}

/// The record of one training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingStep {
    /// The number of the step, from 1.
    pub step: usize,
    /// The mean of `-log p(token)` over the response tokens of the batch, before the update.
    pub loss: f64,
    /// Response tokens in the batch.
    pub tokens: usize,
    /// How long the step took, in seconds.
    pub seconds: f64,
}

/// Trains an adapter of `student` to respond as the last assistant message of each chat does.
///
/// The loss of a batch is the sum of `-log p(token)` over the tokens of those messages, including
/// their end tokens. The student itself does not change.
///
/// # Errors
/// When there are no chats, a chat does not end with an assistant message or exceeds the context, an
/// option is invalid, the loss diverges, or the work is interrupted.
pub fn fine_tune(
    student: &Model,
    chats: &[Chat],
    options: &SftOptions,
) -> Result<FineTuned, ModelError> {
    options.check()?;
    if chats.is_empty() {
        let (found, expected) = ("0 chats".to_owned(), "at least one chat");
        return Err(ModelError::Option {
            option: "chats",
            found,
            expected,
        });
    }
    let examples = student.examples(chats)?;
    let adapter = initial_adapter(student, options)?.trainable()?;
    let mut optimizer = Adam::new(adapter.parameters(), options)?;
    // Only dropout uses libtorch's random number generator.
    tch::manual_seed(options.seed.cast_signed());

    let step_count = options.step_count(examples.len());
    let mut progress = Progress::new("training", step_count as u64);
    let mut steps = Vec::with_capacity(step_count);
    for epoch in 0.. {
        for batch in shuffled(examples.len(), options.seed, epoch).chunks(options.batch_size) {
            if steps.len() == step_count {
                return Ok(FineTuned {
                    adapter: adapter.detached_copy()?,
                    steps,
                });
            }
            interrupt::check()?;
            let started = Instant::now();
            let batch: Vec<_> = batch.iter().map(|&index| &examples[index]).collect();
            let tokens: usize = batch.iter().map(|example| example.response().len()).sum();
            let loss_sum = gradients::accumulate(
                student.transformer(),
                &adapter,
                &batch,
                options.micro_batch_tokens,
                student.device(),
            )?;
            let (step, loss) = (steps.len() + 1, loss_sum / tokens as f64);
            if !loss.is_finite() {
                return Err(ModelError::Diverged { step, loss });
            }
            optimizer.step()?;
            progress.set_label(format!("training, loss {loss:.3}"));
            progress.advance(1);
            let seconds = started.elapsed().as_secs_f64();
            steps.push(TrainingStep {
                step,
                loss,
                tokens,
                seconds,
            });
        }
    }
    unreachable!("every epoch has at least one batch, so the step count is reached")
}

/// The student's own adapter, or a new one.
fn initial_adapter(student: &Model, options: &SftOptions) -> Result<Adapter, ModelError> {
    match student.adapter() {
        None => student.untrained_adapter(&options.lora, options.seed),
        Some(adapter) if adapter.config() == &options.lora => Ok(adapter.clone()),
        Some(adapter) => Err(ModelError::Adapter {
            detail: format!(
                "the student's adapter has {:?}, but SftOptions::lora is {:?}",
                adapter.config(),
                options.lora
            ),
        }),
    }
}

/// The order of the chats in an epoch.
fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Stream 0 is used for the initialisation of the adapter.
    random.set_stream(epoch + 1);
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut random);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_another_order_and_a_seed_reproduces_it() {
        let first = shuffled(100, 42, 0);
        assert_eq!(first, shuffled(100, 42, 0));
        assert_ne!(first, shuffled(100, 42, 1));
        assert_ne!(first, shuffled(100, 43, 0));
        let mut sorted = first;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
    }
}
