//! From chats to tokens, within vocabulary and context.

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

    pub(crate) fn examples(&self, chats: &[Chat]) -> Result<Vec<Example>, ModelError> {
        let unanswered = chats.iter().position(|chat| chat.response().is_none());
        if let Some(index) = unanswered {
            return Err(wrong(index, "the last message is not the assistant's"));
        }
        let prompts: Vec<Chat> = chats.iter().map(Chat::prompt).collect();
        let rendered = |chats: &[Chat], ending| {
            let chats: Vec<(&Chat, RenderEnd)> = chats.iter().map(|chat| (chat, ending)).collect();
            self.render_all(&chats)
        };
        let prompts = rendered(&prompts, RenderEnd::GenerationPrompt)?;
        let wholes = rendered(chats, RenderEnd::Closed)?;
        let texts = prompts.iter().zip(&wholes).zip(chats).enumerate();
        let examples =
            texts.map(|(index, ((prompt, whole), chat))| self.example(index, chat, prompt, whole));
        examples.collect()
    }

    /// The tokens of a chat that ends with an assistant message, up to that message's end token:
    /// `prompt` is the text that it answers, `whole` that of the whole chat.
    fn example(
        &self,
        index: usize,
        chat: &Chat,
        prompt: &str,
        whole: &str,
    ) -> Result<Example, ModelError> {
        let response = match whole.strip_prefix(prompt) {
            Some(response) => response,
            // Where a generation prompt says more than the head of a message (Gemma 4 tells there
            // that nothing is thought), the response is what follows that head.
            None => {
                let head = self.head(chat)?;
                let begins = prompt.starts_with(&head);
                let response = whole.strip_prefix(&head).filter(|_| begins);
                let changed = "the template changes what precedes the response";
                response.ok_or_else(|| wrong(index, changed))?
            }
        };
        // Cut where generation would cut: the prompt and the response are tokenized apart.
        let mut tokens = self.base.tokenizer.encode(prompt)?;
        let prompt = tokens.len();
        tokens.extend(self.base.tokenizer.encode(response)?);
        let is_end = |token: &u32| self.base.tokenizer.eos_token_ids().contains(token);
        let Some(end) = tokens[prompt..].iter().rposition(is_end) else {
            return Err(wrong(
                index,
                "the template does not end the response with an end token",
            ));
        };
        // What the template writes after the end token, a line break, is not the model's.
        tokens.truncate(prompt + end + 1);
        if prompt == 0 {
            return Err(wrong(index, "nothing precedes the response"));
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

    /// Tokens that fit into the context after a prompt.
    pub(crate) fn room_after(&self, index: usize, prompt: usize) -> Result<usize, ModelError> {
        let context = self.base.configuration.max_position_embeddings;
        if prompt == 0 {
            let detail = "the template renders it as nothing".to_owned();
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

fn wrong(index: usize, detail: &str) -> ModelError {
    ModelError::Chat {
        index,
        detail: detail.to_owned(),
    }
}
