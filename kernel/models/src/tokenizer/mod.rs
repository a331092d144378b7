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
    bos_token_id: Option<u32>,
    eos_token_ids: Vec<u32>,
}

impl Tokenizer {
    /// A tokenizer without special tokens.
    #[cfg(test)]
    pub(crate) fn without_special_tokens(inner: HuggingFace) -> Self {
        Self {
            inner,
            bos_token_id: None,
            eos_token_ids: vec![],
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
    pub fn id_to_token(&self, token: u32) -> Option<String> {
        self.inner.id_to_token(token)
    }

    /// The token that begins a document, if the model has one.
    pub fn bos_token_id(&self) -> Option<u32> {
        self.bos_token_id
    }

    /// The tokens that end a response; the first is the model's own end token.
    pub fn eos_token_ids(&self) -> &[u32] {
        &self.eos_token_ids
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("vocabulary", &self.inner.get_vocab_size(true))
            .field("bos_token_id", &self.bos_token_id)
            .field("eos_token_ids", &self.eos_token_ids)
            .finish()
    }
}

fn refused(error: tokenizers::Error) -> ModelError {
    ModelError::Tokenizer {
        detail: error.to_string(),
    }
}
