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
    /// Prompt `i` of a call draws from stream `i` of the generator with this seed, its further
    /// samples from streams of their own, whatever else is in the batch.
    pub seed: u64,
    /// A response ends where it says one of these; they are not part of its text.
    #[serde(default)]
    pub stop: Vec<String>,
    /// A response ends with one of these tokens, as it does with the model's end tokens.
    #[serde(default)]
    pub stop_tokens: Vec<u32>,
    /// How many of the likeliest tokens are reported beside each token.
    #[serde(default)]
    pub alternatives: usize,
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
            stop: vec![],
            stop_tokens: vec![],
            alternatives: 0,
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

    /// Ends a response where it says `text`; may be called for several.
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Ends a response with this token; may be called for several.
    #[must_use]
    pub fn stop_token(mut self, token: u32) -> Self {
        self.stop_tokens.push(token);
        self
    }

    /// Reports this many of the likeliest tokens, with their log-probabilities, beside each token.
    #[must_use]
    pub fn alternatives(mut self, count: usize) -> Self {
        self.alternatives = count;
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
        if self.stop.iter().any(String::is_empty) {
            return Err(wrong("stop", "\"\"".to_owned(), "at least one character"));
        }
        Ok(())
    }
}
