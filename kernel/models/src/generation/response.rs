//! What a model answers.

use serde::{Deserialize, Serialize};

/// One response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The text with which the prompt made it begin, which is not part of the text below.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub beginning: String,
    /// The text, without special tokens and up to a stop string.
    pub text: String,
    /// The tokens; the end token is the last of them where there is one. Where a stop string ended
    /// the response they include those that said it.
    pub tokens: Vec<u32>,
    /// Natural logarithm of the probability that the model gives to each token: at temperature 1
    /// over the whole vocabulary, however the token was sampled.
    pub log_probabilities: Vec<f32>,
    /// The likeliest tokens at each place, likeliest first; empty unless
    /// [`Sampling::alternatives`](crate::Sampling::alternatives) asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Vec<Alternative>>,
    /// Why it ended.
    pub finish: Finish,
}

/// A token that might have been said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// The token.
    pub token: u32,
    /// Natural logarithm of its probability, as in [`Response::log_probabilities`].
    pub log_probability: f32,
}

/// Why a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model said its end token.
    EndToken,
    /// It said a token at which it was to stop.
    StopToken,
    /// It said a text at which it was to stop.
    StopString,
    /// The limit of tokens or the end of the context was reached.
    Length,
}

impl Response {
    /// The text with its beginning.
    pub fn whole_text(&self) -> String {
        format!("{}{}", self.beginning, self.text)
    }
}

impl Finish {
    /// Whether the response ended by itself, not because there was no room for more.
    pub fn is_complete(self) -> bool {
        self != Self::Length
    }
}

/// The next text of a response in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The prompt's position in the call, from 0.
    pub prompt: usize,
    /// Which of its responses, from 0.
    pub sample: usize,
    /// Whole characters. All pieces of a response together are its [`Response::text`].
    pub text: String,
    /// Why the response ended, with its last piece.
    pub finish: Option<Finish>,
}
