//! How tokens are chosen.

use serde::{Deserialize, Serialize};

use crate::ModelError;

/// How tokens are chosen and when to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Logits are divided by it; 0 takes the likeliest token.
    pub temperature: f64,
    /// Tokens outside the smallest set with at least this probability are left out; 1 is off.
    pub top_p: f64,
    /// Only this many likeliest tokens are considered; `None` is off.
    pub top_k: Option<usize>,
    /// Most tokens of a response; the context may end it earlier.
    pub max_new_tokens: usize,
    /// Request `i` of a call draws from stream `i` of the generator with this seed, whatever
    /// else is in the batch.
    pub seed: u64,
}

impl Sampling {
    /// Always the likeliest token, at most 512 of them.
    pub fn greedy() -> Self {
        Self::temperature(0.0)
    }

    /// Samples at this temperature, at most 512 tokens, seed 0.
    pub fn temperature(temperature: f64) -> Self {
        Self {
            temperature,
            top_p: 1.0,
            top_k: None,
            max_new_tokens: 512,
            seed: 0,
        }
    }

    /// Sets the most tokens of a response.
    #[must_use]
    pub fn max_new_tokens(mut self, count: usize) -> Self {
        self.max_new_tokens = count;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Keeps the smallest set of tokens with at least this probability.
    #[must_use]
    pub fn top_p(mut self, probability: f64) -> Self {
        self.top_p = probability;
        self
    }

    /// Keeps this many likeliest tokens.
    #[must_use]
    pub fn top_k(mut self, count: usize) -> Self {
        self.top_k = Some(count);
        self
    }

    /// Refuses options that make no sense, before any work is done.
    ///
    /// # Errors
    /// Names the option.
    pub fn check(&self) -> Result<(), ModelError> {
        let wrong = |option, found: String, expected| ModelError::Option {
            option,
            found,
            expected,
        };
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            let found = self.temperature.to_string();
            return Err(wrong("temperature", found, "a finite number, at least 0"));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(wrong(
                "top_p",
                self.top_p.to_string(),
                "above 0 and at most 1",
            ));
        }
        if self.top_k == Some(0) {
            return Err(wrong("top_k", "0".to_owned(), "at least 1"));
        }
        if self.max_new_tokens == 0 {
            return Err(wrong("max_new_tokens", "0".to_owned(), "at least 1"));
        }
        Ok(())
    }
}
