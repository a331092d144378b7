//! The options of supervised fine-tuning.

use serde::{Deserialize, Serialize};

use crate::{LoraConfig, ModelError};

/// Options of supervised fine-tuning. The defaults are those of the study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SftOptions {
    /// The adapter to train. A student that already has an adapter continues to train that one,
    /// which must have this configuration.
    pub lora: LoraConfig,
    /// The learning rate, which is constant.
    pub learning_rate: f64,
    /// The decay rate of Adam's moving average of gradients.
    pub beta1: f64,
    /// The decay rate of Adam's moving average of squared gradients.
    pub beta2: f64,
    /// The number that is added to Adam's denominator.
    pub epsilon: f64,
    /// Chats of a step. The last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// Passes over all chats.
    pub epochs: usize,
    /// The most steps; `None` is no limit.
    pub max_steps: Option<usize>,
    /// The seed of the adapter's initialisation, the order of the chats, and dropout.
    pub seed: u64,
    /// Tokens of one forward and backward pass. A batch with more is processed in several passes
    /// whose gradients add up, so this changes memory and speed but not the result.
    #[serde(rename = "tokens_at_once")]
    pub micro_batch_tokens: usize,
}

impl Default for SftOptions {
    fn default() -> Self {
        Self {
            lora: LoraConfig::default(),
            learning_rate: 5e-5,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            batch_size: 16,
            epochs: 1,
            max_steps: None,
            seed: 42,
            micro_batch_tokens: 2048,
        }
    }
}

impl SftOptions {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let invalid = |option, found: String, expected| ModelError::Option {
            option,
            found,
            expected,
        };
        self.lora.check()?;
        if !(self.learning_rate.is_finite() && self.learning_rate >= 0.0) {
            let found = self.learning_rate.to_string();
            return Err(invalid(
                "learning_rate",
                found,
                "a finite number, at least 0",
            ));
        }
        for (option, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(invalid(
                    option,
                    value.to_string(),
                    "at least 0 and less than 1",
                ));
            }
        }
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return Err(invalid(
                "epsilon",
                self.epsilon.to_string(),
                "a number above 0",
            ));
        }
        if self.batch_size == 0 {
            return Err(invalid("batch_size", "0".to_owned(), "at least 1"));
        }
        Ok(())
    }

    /// The number of steps for `chats` chats.
    pub(super) fn step_count(&self, chats: usize) -> usize {
        let steps = chats.div_ceil(self.batch_size).saturating_mul(self.epochs);
        self.max_steps.map_or(steps, |most| steps.min(most))
    }
}
