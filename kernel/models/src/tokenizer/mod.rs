//! Tokenization: from text to token ids and back, as Hugging Face's tokenizer of the same model does
//! it.
//!
//! | module | purpose |
//! |---|---|
//! | [`folder`] | reads `tokenizer.json` and the special tokens of a Hugging Face folder |
//! | [`gguf`] | builds the tokenizer that the metadata of a GGUF file describes |
//! | [`gguf_sentencepiece`] | the same for SentencePiece vocabularies (Gemma) |

mod folder;
mod gguf;
mod gguf_sentencepiece;

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
    #[cfg(test)]
    pub(crate) fn without_special_tokens(inner: HuggingFace) -> Self {
        Self {
            inner,
            bos_token_id: None,
            eos_token_ids: vec![],
        }
    }

    /// Encodes `text`. Special tokens that are written out in the text are recognised, and none are
    /// added.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(tokenizer_error)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Decodes tokens; special tokens are left out.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, ModelError> {
        self.inner.decode(tokens, true).map_err(tokenizer_error)
    }

    /// The text of one token in the vocabulary, including special tokens.
    pub fn id_to_token(&self, token: u32) -> Option<String> {
        self.inner.id_to_token(token)
    }

    /// The beginning-of-sequence token, if the model has one.
    pub fn bos_token_id(&self) -> Option<u32> {
        self.bos_token_id
    }

    /// The end-of-sequence tokens, each of which ends a response. The first is the model's own;
    /// chat models often have another one that ends a message.
    pub fn eos_token_ids(&self) -> &[u32] {
        &self.eos_token_ids
    }

    /// The content of a `tokenizer.json`.
    pub(crate) fn to_json(&self) -> Result<String, ModelError> {
        self.inner.to_string(true).map_err(tokenizer_error)
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

fn tokenizer_error(error: tokenizers::Error) -> ModelError {
    ModelError::Tokenizer {
        detail: error.to_string(),
    }
}
