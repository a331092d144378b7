//! What a model answers.

use serde::{Deserialize, Serialize};

/// One response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The text, without special tokens.
    pub text: String,
    /// The tokens; the end token is the last of them where there is one.
    pub tokens: Vec<u32>,
    /// Natural logarithm of the probability that the model gives to each token: at temperature 1
    /// over the whole vocabulary, however the token was sampled.
    pub log_probabilities: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

/// Why a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model said its end token.
    EndToken,
    /// The limit of tokens or the end of the context was reached.
    Length,
}
