//! From chats to tokens for training and scoring, with checks of vocabulary and context.

use super::Model;
use crate::chat::RenderEnd;
use crate::example::Example;
use crate::{Chat, ModelError};

impl Model {
    /// Fails if a token is not in the vocabulary.
    pub(crate) fn check_tokens(&self, tokens: &[u32]) -> Result<(), ModelError> {
        let vocabulary = self.base.configuration.vocab_size;
        match tokens.iter().find(|&&token| i64::from(token) >= vocabulary) {
            Some(&token) => Err(ModelError::Token { token, vocabulary }),
            None => Ok(()),
        }
    }

    /// The tokens of chats that end with an assistant message, which is the response.
    pub(crate) fn examples(&self, chats: &[Chat]) -> Result<Vec<Example>, ModelError> {
        let without_response = chats.iter().position(|chat| chat.response().is_none());
        if let Some(index) = without_response {
            return Err(chat_error(index, "the last message is not the assistant's"));
        }
        let prompts: Vec<Chat> = chats.iter().map(Chat::prompt).collect();
        let rendered = |chats: &[Chat], end| {
            let chats: Vec<(&Chat, RenderEnd)> = chats.iter().map(|chat| (chat, end)).collect();
            self.render_all(&chats)
        };
        let prompts = rendered(&prompts, RenderEnd::GenerationPrompt)?;
        let wholes = rendered(chats, RenderEnd::Closed)?;
        let texts = prompts.iter().zip(&wholes).zip(chats).enumerate();
        let examples =
            texts.map(|(index, ((prompt, whole), chat))| self.example(index, chat, prompt, whole));
        examples.collect()
    }

    /// The tokens of a chat up to the end token of its response. `prompt` is the rendered text before
    /// the response, and `whole` that of the whole chat.
    fn example(
        &self,
        index: usize,
        chat: &Chat,
        prompt: &str,
        whole: &str,
    ) -> Result<Example, ModelError> {
        let response = match whole.strip_prefix(prompt) {
            Some(response) => response,
            // A generation prompt may contain more than the header of a message: Gemma 4's also
            // closes an empty thought. The response is then what follows the header.
            None => {
                let header = self.render_before_final_text(chat)?;
                let is_header = prompt.starts_with(&header);
                let response = whole.strip_prefix(&header).filter(|_| is_header);
                let detail = "the template changes what precedes the response";
                response.ok_or_else(|| chat_error(index, detail))?
            }
        };
        // Prompt and response are tokenized separately, as in generation, so that no token spans
        // the boundary.
        let mut tokens = self.base.tokenizer.encode(prompt)?;
        let prompt = tokens.len();
        tokens.extend(self.base.tokenizer.encode(response)?);
        let is_end = |token: &u32| self.base.tokenizer.eos_token_ids().contains(token);
        let Some(end) = tokens[prompt..].iter().rposition(is_end) else {
            return Err(chat_error(
                index,
                "the template does not end the response with an end token",
            ));
        };
        // The template may write a line break after the end token, which the model does not learn.
        tokens.truncate(prompt + end + 1);
        if prompt == 0 {
            return Err(chat_error(index, "nothing precedes the response"));
        }
        let context = self.base.configuration.max_position_embeddings;
        if tokens.len() > context {
            return Err(ModelError::Context {
                index,
                tokens: tokens.len(),
                context,
            });
        }
        Ok(Example { tokens, prompt })
    }

    /// How many tokens of the context a prompt of `prompt` tokens leaves; at least 1.
    pub(crate) fn remaining_context(
        &self,
        index: usize,
        prompt: usize,
    ) -> Result<usize, ModelError> {
        let context = self.base.configuration.max_position_embeddings;
        if prompt == 0 {
            let detail = "the chat template renders it as empty text".to_owned();
            return Err(ModelError::Chat { index, detail });
        }
        if prompt >= context {
            return Err(ModelError::Context {
                index,
                tokens: prompt,
                context,
            });
        }
        Ok(context - prompt)
    }
}

fn chat_error(index: usize, detail: &str) -> ModelError {
    ModelError::Chat {
        index,
        detail: detail.to_owned(),
    }
}
