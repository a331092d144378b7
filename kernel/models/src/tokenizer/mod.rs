//! Text to token ids and back, as Hugging Face's tokenizer of the same model does it.

mod folder;
mod gguf;
mod gguf_pieces;

use tokenizers::Tokenizer as HuggingFace;

use crate::ModelError;

/// A model's tokenizer and its special tokens.
#[derive(Clone)]
pub struct Tokenizer {
    inner: HuggingFace,
    beginning: Option<u32>,
    end: Vec<u32>,
}

impl Tokenizer {
    /// A tokenizer without special tokens.
    #[cfg(test)]
    pub(crate) fn of(inner: HuggingFace) -> Self {
        Self {
            inner,
            beginning: None,
            end: vec![],
        }
    }

    /// The token ids of `text`. Special tokens written out in the text are recognised; none are
    /// added.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let encoding = self.inner.encode_fast(text, false).map_err(refused)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of these tokens, without special tokens.
    ///
    /// # Errors
    /// When the tokenizer refuses them.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, ModelError> {
        self.inner.decode(tokens, true).map_err(refused)
    }

    /// `tokenizer.json`.
    pub(crate) fn to_json(&self) -> Result<String, ModelError> {
        self.inner.to_string(true).map_err(refused)
    }

    /// The text of one token as the vocabulary has it; special tokens included.
    pub fn token_text(&self, token: u32) -> Option<String> {
        self.inner.id_to_token(token)
    }

    /// The token that begins a document, if the model has one.
    pub fn beginning(&self) -> Option<u32> {
        self.beginning
    }

    /// The tokens that end a response; the first is the model's own end token.
    pub fn end(&self) -> &[u32] {
        &self.end
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("vocabulary", &self.inner.get_vocab_size(true))
            .field("beginning", &self.beginning)
            .field("end", &self.end)
            .finish()
    }
}

fn refused(error: tokenizers::Error) -> ModelError {
    ModelError::Tokenizer {
        detail: error.to_string(),
    }
}
