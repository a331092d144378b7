//! Sampling options.

use serde::{Deserialize, Serialize};

use crate::ModelError;

/// How tokens are sampled and where responses stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Divides the logits; 0 always takes the most likely token.
    pub temperature: f64,
    /// Restricts sampling to the smallest set of most likely tokens with at least this probability
    /// together; 1 is no restriction.
    pub top_p: f64,
    /// Restricts sampling to this many most likely tokens; `None` is no restriction.
    pub top_k: Option<usize>,
    /// The most tokens of a response. The end of the context may truncate it earlier.
    pub max_new_tokens: usize,
    /// The seed of the random number generator. Every sample of every prompt has a stream of its
    /// own, given by the prompt's position in the call, so that a response does not depend on what
    /// else is in the batch.
    pub seed: u64,
    /// Strings that end a response. They are not part of its text.
    #[serde(default)]
    pub stop: Vec<String>,
    /// Tokens that end a response, in addition to the model's end-of-sequence tokens.
    #[serde(default)]
    pub stop_tokens: Vec<u32>,
    /// How many of the most likely tokens to report for each position.
    #[serde(default)]
    pub alternatives: usize,
}

impl Sampling {
    /// Always takes the most likely token; at most 512 tokens.
    pub fn greedy() -> Self {
        Self::temperature(0.0)
    }

    /// Samples at this temperature; at most 512 tokens, seed 0.
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

    /// Restricts sampling to the smallest set of most likely tokens with at least this probability.
    #[must_use]
    pub fn top_p(mut self, probability: f64) -> Self {
        self.top_p = probability;
        self
    }

    /// Restricts sampling to this many most likely tokens.
    #[must_use]
    pub fn top_k(mut self, count: usize) -> Self {
        self.top_k = Some(count);
        self
    }

    /// Ends a response at this string. Call it again for further strings.
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Ends a response with this token. Call it again for further tokens.
    #[must_use]
    pub fn stop_token(mut self, token: u32) -> Self {
        self.stop_tokens.push(token);
        self
    }

    /// Reports this many of the most likely tokens, with their log-probabilities, for each position.
    #[must_use]
    pub fn alternatives(mut self, count: usize) -> Self {
        self.alternatives = count;
        self
    }

    /// Checks the options before any work is done.
    ///
    /// # Errors
    /// [`ModelError::Option`] names the first option that is invalid.
    pub fn check(&self) -> Result<(), ModelError> {
        let invalid = |option, found: String, expected| ModelError::Option {
            option,
            found,
            expected,
        };
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            let found = self.temperature.to_string();
            return Err(invalid("temperature", found, "a finite number, at least 0"));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(invalid(
                "top_p",
                self.top_p.to_string(),
                "above 0 and at most 1",
            ));
        }
        if self.top_k == Some(0) {
            return Err(invalid("top_k", "0".to_owned(), "at least 1"));
        }
        if self.max_new_tokens == 0 {
            return Err(invalid("max_new_tokens", "0".to_owned(), "at least 1"));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(invalid("stop", "\"\"".to_owned(), "at least one character"));
        }
        Ok(())
    }
}
