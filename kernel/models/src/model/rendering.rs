//! From chats to text.

use std::sync::Arc;

use super::Model;
use crate::chat::{self, ChatTemplate, RenderEnd, SpecialTokens, TemplateSources, Variables};
use crate::tokenizer::Tokenizer;
use crate::{Chat, ModelError};

/// How a handle makes text of chats.
#[derive(Clone, Default)]
pub(super) struct Rendering {
    template: Option<Arc<ChatTemplate>>,
    variables: Variables,
}

impl Rendering {
    /// The default one of `templates`; with reasoning on or off if that is known.
    pub(super) fn new(
        templates: &TemplateSources,
        tokenizer: &Tokenizer,
        thinking: Option<bool>,
    ) -> Result<Self, ModelError> {
        let mut rendering = Self::default();
        if let Some(source) = templates.get(chat::DEFAULT_TEMPLATE) {
            rendering.template = Some(Arc::new(template(source, tokenizer)?));
        }
        if let Some(thinking) = thinking {
            set_thinking(&mut rendering.variables, thinking);
        }
        Ok(rendering)
    }
}

impl Model {
    /// A handle whose chats are rendered with reasoning on or off, for models that can do both
    /// (`enable_thinking` of Qwen3 and Gemma 4, `thinking` of DeepSeek-V3.1). Without it, the
    /// template decides.
    #[must_use]
    pub fn with_thinking(&self, thinking: bool) -> Self {
        let mut handle = self.clone();
        set_thinking(&mut handle.rendering.variables, thinking);
        handle
    }

    /// A handle whose chat template knows a further name, such as Llama's `date_string`.
    #[must_use]
    pub fn with_template_variable(&self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        let mut handle = self.clone();
        let variables = &mut handle.rendering.variables;
        variables.insert(name.to_owned(), value.into());
        handle
    }

    /// A handle that renders chats with another of the model's chat templates, such as `tool_use`.
    ///
    /// # Errors
    /// When the model has no template of this name, or it does not compile.
    pub fn with_chat_template(&self, name: &str) -> Result<Self, ModelError> {
        let Some(source) = self.base.templates.get(name) else {
            let known: Vec<&str> = self.chat_templates().collect();
            let known = known.join(", ");
            return Err(ModelError::Template {
                detail: format!("{} has no template {name}, but {known}", self.base.name),
            });
        };
        let mut handle = self.clone();
        handle.rendering.template = Some(Arc::new(template(source, &self.base.tokenizer)?));
        Ok(handle)
    }

    /// The names of the model's chat templates.
    pub fn chat_templates(&self) -> impl Iterator<Item = &str> {
        self.base.templates.keys().map(String::as_str)
    }

    /// The text that the model reads for `chat`; with `add_generation_prompt` it ends where the
    /// assistant's next message begins.
    ///
    /// # Errors
    /// When the model has no chat template or the template refuses the chat.
    pub fn render(&self, chat: &Chat, add_generation_prompt: bool) -> Result<String, ModelError> {
        let ending = match add_generation_prompt {
            true => RenderEnd::GenerationPrompt,
            false => RenderEnd::Closed,
        };
        Ok(self.render_all(&[(chat, ending)])?.swap_remove(0))
    }

    /// The text that the model goes on from to answer `chat`. A last message of the assistant is
    /// the beginning of the answer: the text ends within it.
    ///
    /// # Errors
    /// As [`Model::render`]; also when the template leaves out part of what is to be continued.
    pub fn render_prompt(&self, chat: &Chat) -> Result<String, ModelError> {
        Ok(self.render_prompts(&[chat])?.swap_remove(0))
    }

    /// Whether both make the same text of a chat.
    pub(crate) fn renders_as(&self, other: &Self) -> bool {
        let (one, other) = (&self.rendering, &other.rendering);
        let same_template = match (&one.template, &other.template) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same_template && one.variables == other.variables
    }

    /// [`Model::render_prompt`] of many chats at once.
    pub(crate) fn render_prompts(&self, chats: &[&Chat]) -> Result<Vec<String>, ModelError> {
        let ending = |chat: &Chat| match chat.response() {
            Some(_) => RenderEnd::ContinueFinalMessage,
            None => RenderEnd::GenerationPrompt,
        };
        let chats: Vec<(&Chat, RenderEnd)> =
            chats.iter().map(|&chat| (chat, ending(chat))).collect();
        self.render_all(&chats)
    }

    pub(super) fn render_all(
        &self,
        chats: &[(&Chat, RenderEnd)],
    ) -> Result<Vec<String>, ModelError> {
        let variables = &self.rendering.variables;
        self.template()?.render_all(chats, variables)
    }

    /// What precedes the text of the last message of `chat`.
    pub(super) fn head(&self, chat: &Chat) -> Result<String, ModelError> {
        let variables = &self.rendering.variables;
        self.template()?.head(chat, variables)
    }

    fn template(&self) -> Result<&ChatTemplate, ModelError> {
        let template = self.rendering.template.as_deref();
        template.ok_or_else(|| ModelError::Template {
            detail: format!("{} has no chat template", self.base.name),
        })
    }
}

fn template(source: &str, tokenizer: &Tokenizer) -> Result<ChatTemplate, ModelError> {
    let text = |token: Option<u32>| token.and_then(|token| tokenizer.id_to_token(token));
    let special = SpecialTokens {
        bos_token: text(tokenizer.bos_token_id()),
        eos_token: text(tokenizer.eos_token_ids().first().copied()),
    };
    ChatTemplate::new(source, special)
}

/// Sets all names under which templates know it.
fn set_thinking(variables: &mut Variables, thinking: bool) {
    for name in ["enable_thinking", "thinking"] {
        variables.insert(name.to_owned(), thinking.into());
    }
}
