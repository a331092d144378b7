//! What a model is asked to respond to.

use crate::{Chat, Model};

/// A chat to respond to, with the options of this prompt alone.
///
/// ```
/// use offmodel_models::{Chat, Prompt};
///
/// let prompt = Prompt::new(Chat::user("Name a colour.")).prefill("A colour is").samples(4);
/// # let _ = prompt;
/// ```
#[derive(Debug, Clone)]
pub struct Prompt {
    pub(super) chat: Chat,
    pub(super) prefill: Prefill,
    pub(super) samples: usize,
    /// The position whose random stream the prompt draws from, if it is not its own.
    pub(super) position: Option<u32>,
    /// The handle that responds, if it is not the one that is called.
    pub(super) model: Option<Model>,
}

/// The first tokens of a response, given by the caller.
#[derive(Debug, Clone)]
pub(super) enum Prefill {
    Text(String),
    Tokens(Vec<u32>),
}

impl Prompt {
    /// Asks for one response to `chat`.
    pub fn new(chat: Chat) -> Self {
        Self {
            chat,
            prefill: Prefill::Tokens(vec![]),
            samples: 1,
            position: None,
            model: None,
        }
    }

    /// Asks for a continuation of the last message of `chat`, if that is the assistant's;
    /// otherwise for a new response.
    pub fn continuing(chat: &Chat) -> Self {
        let prefill = chat.response().unwrap_or_default();
        Self::new(chat.prompt()).prefill(prefill)
    }

    /// Makes the response start with `text`.
    ///
    /// The text is tokenized on its own, as responses are in training, so that no token spans the
    /// end of the prompt.
    #[must_use]
    pub fn prefill(mut self, text: impl Into<String>) -> Self {
        self.prefill = Prefill::Text(text.into());
        self
    }

    /// Makes the response start with these tokens, for example the first of another response.
    #[must_use]
    pub fn prefill_tokens(mut self, tokens: &[u32]) -> Self {
        self.prefill = Prefill::Tokens(tokens.to_vec());
        self
    }

    /// Asks for `count` responses. The forward pass over the prompt is shared by all of them.
    #[must_use]
    pub fn samples(mut self, count: usize) -> Self {
        self.samples = count;
        self
    }

    /// Samples as the prompt at `position` of a call does, counted from 0, wherever this prompt
    /// stands in its own call. So a single response of a large call can be generated again alone.
    #[must_use]
    pub fn at_position(mut self, position: u32) -> Self {
        self.position = Some(position);
        self
    }

    /// Lets another handle over the same weights respond, with its adapter or without one.
    #[must_use]
    pub fn with_model(mut self, model: &Model) -> Self {
        self.model = Some(model.clone());
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
