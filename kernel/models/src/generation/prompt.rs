//! What a model is asked.

use crate::{Chat, Model};

/// A chat to answer, and how.
///
/// ```
/// use offmodel_models::{Chat, Prompt};
///
/// let prompt = Prompt::new(Chat::user("Name a colour.")).beginning("A colour is").samples(4);
/// # let _ = prompt;
/// ```
#[derive(Debug, Clone)]
pub struct Prompt {
    pub(super) chat: Chat,
    pub(super) beginning: Beginning,
    pub(super) samples: usize,
    pub(super) stream: Option<u32>,
    pub(super) handle: Option<Model>,
}

/// What the response begins with.
#[derive(Debug, Clone)]
pub(super) enum Beginning {
    Text(String),
    Tokens(Vec<u32>),
}

impl Prompt {
    /// One response to this chat.
    pub fn new(chat: Chat) -> Self {
        Self {
            chat,
            beginning: Beginning::Tokens(vec![]),
            samples: 1,
            stream: None,
            handle: None,
        }
    }

    /// The response goes on after the last message of `chat`, which is the assistant's; without
    /// one it begins anew.
    pub fn continuing(chat: &Chat) -> Self {
        let beginning = chat.response().unwrap_or_default();
        Self::new(chat.prompt()).beginning(beginning)
    }

    /// The response begins with this text, cut into tokens apart from what precedes it, as in
    /// training.
    #[must_use]
    pub fn beginning(mut self, text: impl Into<String>) -> Self {
        self.beginning = Beginning::Text(text.into());
        self
    }

    /// The response begins with these tokens, such as the first of another response.
    #[must_use]
    pub fn beginning_tokens(mut self, tokens: &[u32]) -> Self {
        self.beginning = Beginning::Tokens(tokens.to_vec());
        self
    }

    /// How many responses to make. The prompt is read once for all of them.
    #[must_use]
    pub fn samples(mut self, count: usize) -> Self {
        self.samples = count;
        self
    }

    /// Draws as the prompt at this position of a call does, counted from 0, wherever it is in this
    /// one: so one response of many can be made again on its own.
    #[must_use]
    pub fn at_position(mut self, position: u32) -> Self {
        self.stream = Some(position);
        self
    }

    /// Answered by another handle on the same weights, with its adapter or without one.
    #[must_use]
    pub fn answered_by(mut self, handle: &Model) -> Self {
        self.handle = Some(handle.clone());
        self
    }
}

impl From<Chat> for Prompt {
    fn from(chat: Chat) -> Self {
        Self::new(chat)
    }
}

impl From<&Chat> for Prompt {
    fn from(chat: &Chat) -> Self {
        Self::new(chat.clone())
    }
}

impl From<&Prompt> for Prompt {
    fn from(prompt: &Prompt) -> Self {
        prompt.clone()
    }
}
