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
    /// What happened in each step.
    pub steps: Vec<TrainingStep>,
}

/// One step of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingStep {
    /// The step, from 1.
    pub step: usize,
    /// Mean of -log p over the batch's response tokens, before the step's update.
    pub loss: f64,
    /// Response tokens in the batch.
    pub tokens: usize,
    /// How long the step took.
    pub seconds: f64,
}

/// Trains an adapter of `student` to answer like the last assistant message of each chat.
///
/// The loss is the sum of -log p over the tokens of that message and its end token. The student
/// itself does not change.
///
/// # Errors
/// When there are no chats, a chat does not end with an assistant message or exceeds the context,
/// options make no sense, the loss diverges, or the work is interrupted.
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
    let adapter = start(student, options)?.trainable()?;
    let mut optimizer = Adam::new(adapter.parameters(), options)?;
    // Only dropout draws from libtorch's generator.
    tch::manual_seed(options.seed.cast_signed());

    let count = options.steps(examples.len());
    let mut progress = Progress::new("training", count as u64);
    let mut steps = Vec::with_capacity(count);
    for epoch in 0.. {
        for batch in shuffled(examples.len(), options.seed, epoch).chunks(options.batch_size) {
            if steps.len() == count {
                return Ok(FineTuned {
                    adapter: adapter.detached_copy()?,
                    steps,
                });
            }
            interrupt::check()?;
            let started = Instant::now();
            let batch: Vec<_> = batch.iter().map(|&index| &examples[index]).collect();
            let tokens: usize = batch.iter().map(|example| example.response().len()).sum();
            let sum = gradients::accumulate(
                student.transformer(),
                &adapter,
                &batch,
                options.micro_batch_tokens,
                student.device(),
            )?;
            let (step, loss) = (steps.len() + 1, sum / tokens as f64);
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
    unreachable!("an epoch has at least one batch, so the steps come to their end")
}

/// The adapter to train: the student's own, or a new one.
fn start(student: &Model, options: &SftOptions) -> Result<Adapter, ModelError> {
    match student.adapter() {
        None => student.untrained_adapter(&options.lora, options.seed),
        Some(adapter) if adapter.config() == &options.lora => Ok(adapter.clone()),
        Some(adapter) => Err(ModelError::Adapter {
            detail: format!(
                "the student has an adapter with {:?}, the options ask for {:?}",
                adapter.config(),
                options.lora
            ),
        }),
    }
}

/// The order of the chats in this epoch.
fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Stream 0 initialises the adapter.
    random.set_stream(epoch + 1);
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut random);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_is_another_permutation_and_seeds_reproduce() {
        let first = shuffled(100, 42, 0);
        assert_eq!(first, shuffled(100, 42, 0));
        assert_ne!(first, shuffled(100, 42, 1));
        assert_ne!(first, shuffled(100, 43, 0));
        let mut sorted = first;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
    }
}
