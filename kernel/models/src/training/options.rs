//! The options of supervised fine-tuning.

use serde::{Deserialize, Serialize};

use crate::{LoraConfig, ModelError};

/// How to train. Defaults are the study's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SftOptions {
    /// The adapter. A student that already has one goes on training it; its configuration must
    /// then be this one.
    pub lora: LoraConfig,
    /// Constant learning rate.
    pub learning_rate: f64,
    /// Decay of Adam's mean of gradients.
    pub beta1: f64,
    /// Decay of Adam's mean of squared gradients.
    pub beta2: f64,
    /// Added to Adam's denominator.
    pub epsilon: f64,
    /// Chats per step; the last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// Passes over the chats.
    pub epochs: usize,
    /// Ends training early.
    pub max_steps: Option<usize>,
    /// Shuffles the chats and initialises the adapter.
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
        let wrong = |option, found: String, expected| ModelError::Option {
            option,
            found,
            expected,
        };
        self.lora.check()?;
        if !(self.learning_rate.is_finite() && self.learning_rate >= 0.0) {
            let found = self.learning_rate.to_string();
            return Err(wrong("learning_rate", found, "a finite number, at least 0"));
        }
        for (option, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(wrong(
                    option,
                    value.to_string(),
                    "at least 0 and less than 1",
                ));
            }
        }
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return Err(wrong(
                "epsilon",
                self.epsilon.to_string(),
                "a number above 0",
            ));
        }
        if self.batch_size == 0 {
            return Err(wrong("batch_size", "0".to_owned(), "at least 1"));
        }
        Ok(())
    }

    /// Steps that `chats` chats make.
    pub(super) fn steps(&self, chats: usize) -> usize {
        let steps = chats.div_ceil(self.batch_size).saturating_mul(self.epochs);
        self.max_steps.map_or(steps, |most| steps.min(most))
    }
}
