//! Logits, log-probabilities and perplexity.

use tch::Tensor;

use super::Model;
use crate::transformer::PackedSequences;
use crate::{Chat, ModelError, scoring};

impl Model {
    /// The logits of the token after each of `tokens`, `[tokens, vocabulary]` in `f32`.
    ///
    /// # Errors
    /// When there are no tokens, they exceed the context, or one is not in the vocabulary.
    pub fn logits(&self, tokens: &[u32]) -> Result<Tensor, ModelError> {
        let context = self.base.configuration.max_position_embeddings;
        if tokens.is_empty() || tokens.len() > context {
            return Err(ModelError::Context {
                index: 0,
                tokens: tokens.len(),
                context,
            });
        }
        self.check_tokens(tokens)?;
        let _no_grad = tch::no_grad_guard();
        let packed = PackedSequences::new([tokens], self.base.device)?;
        let adapters = self.adapters();
        let output = self.base.transformer.forward(&packed, &adapters)?;
        Ok(self.base.transformer.logits(&output, &adapters)?)
    }

    /// The natural logarithm of the probability of each token of the response (the last assistant
    /// message and its end token), given all tokens before it.
    ///
    /// # Errors
    /// When the chat does not end with an assistant message or exceeds the context.
    pub fn log_probabilities(&self, chat: &Chat) -> Result<Vec<f32>, ModelError> {
        Ok(self.score(std::slice::from_ref(chat))?.swap_remove(0))
    }

    /// The perplexity of the responses: `exp(-mean)` of the log-probabilities of all response tokens of
    /// all chats.
    ///
    /// # Errors
    /// As [`Model::log_probabilities`]; also when there are no chats.
    pub fn perplexity(&self, chats: &[Chat]) -> Result<f64, ModelError> {
        if chats.is_empty() {
            let (found, expected) = ("0 chats".to_owned(), "at least one chat");
            return Err(ModelError::Option {
                option: "chats",
                found,
                expected,
            });
        }
        let scores = self.score(chats)?;
        let count = scores.iter().map(Vec::len).sum::<usize>();
        let sum: f64 = scores.iter().flatten().map(|&score| f64::from(score)).sum();
        Ok((-sum / count as f64).exp())
    }

    /// The [log-probabilities](Model::log_probabilities) of many chats, in few forward passes.
    ///
    /// # Errors
    /// As [`Model::log_probabilities`].
    pub fn score(&self, chats: &[Chat]) -> Result<Vec<Vec<f32>>, ModelError> {
        scoring::log_probabilities(
            &self.base.transformer,
            &self.adapters(),
            &self.examples(chats)?,
            self.base.device,
        )
    }
}
