//! Rendering: from chats to text.

use std::sync::Arc;

use super::Model;
use crate::chat::{self, ChatTemplate, RenderEnd, SpecialTokens, TemplateSources, Variables};
use crate::tokenizer::Tokenizer;
use crate::{Chat, ModelError};

/// How a handle renders chats.
#[derive(Clone, Default)]
pub(super) struct Rendering {
    template: Option<Arc<ChatTemplate>>,
    variables: Variables,
}

impl Rendering {
    /// Uses the default template. `thinking` switches reasoning on or off; absent, the template
    /// decides.
    pub(super) fn new(
        templates: &TemplateSources,
        tokenizer: &Tokenizer,
        thinking: Option<bool>,
    ) -> Result<Self, ModelError> {
        let mut rendering = Self::default();
        if let Some(source) = templates.get(chat::DEFAULT_TEMPLATE) {
            rendering.template = Some(Arc::new(compile(source, tokenizer)?));
        }
        if let Some(thinking) = thinking {
            set_thinking(&mut rendering.variables, thinking);
        }
        Ok(rendering)
    }
}

impl Model {
    /// Returns a handle that renders chats with reasoning on or off, for models that can do both.
    ///
    /// It sets the template variables `enable_thinking` (Qwen3, Gemma 4) and `thinking`
    /// (DeepSeek-V3.1). If they are not set, the template decides.
    #[must_use]
    pub fn with_thinking(&self, thinking: bool) -> Self {
        let mut handle = self.clone();
        set_thinking(&mut handle.rendering.variables, thinking);
        handle
    }

    /// Returns a handle that passes a variable to the chat template, such as Llama's `date_string`.
    #[must_use]
    pub fn with_template_variable(&self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        let mut handle = self.clone();
        let variables = &mut handle.rendering.variables;
        variables.insert(name.to_owned(), value.into());
        handle
    }

    /// Returns a handle that uses another of the model's chat templates, such as `tool_use`.
    ///
    /// # Errors
    /// When the model has no template of this name, or it does not compile.
    pub fn with_chat_template(&self, name: &str) -> Result<Self, ModelError> {
        let Some(source) = self.base.templates.get(name) else {
            let existing: Vec<&str> = self.chat_templates().collect();
            let existing = match existing.as_slice() {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            return Err(ModelError::Template {
                detail: format!(
                    "{} has no chat template {name}; it has {existing}",
                    self.base.name
                ),
            });
        };
        let mut handle = self.clone();
        handle.rendering.template = Some(Arc::new(compile(source, &self.base.tokenizer)?));
        Ok(handle)
    }

    /// The names of the model's chat templates.
    pub fn chat_templates(&self) -> impl Iterator<Item = &str> {
        self.base.templates.keys().map(String::as_str)
    }

    /// Renders `chat` as the text that the model sees. With `add_generation_prompt`, the text ends
    /// where the assistant's next message starts.
    ///
    /// # Errors
    /// When the model has no chat template, or the template rejects the chat.
    pub fn render(&self, chat: &Chat, add_generation_prompt: bool) -> Result<String, ModelError> {
        let end = if add_generation_prompt {
            RenderEnd::GenerationPrompt
        } else {
            RenderEnd::Closed
        };
        Ok(self.render_all(&[(chat, end)])?.swap_remove(0))
    }

    /// Renders `chat` as the text that the model continues when it responds.
    ///
    /// If the last message is the assistant's, the text ends at the end of that message, so that the
    /// response continues it. Otherwise the assistant's next message starts there.
    ///
    /// # Errors
    /// As [`Model::render`]; also when the template changes the message that is to be continued.
    pub fn render_prompt(&self, chat: &Chat) -> Result<String, ModelError> {
        Ok(self.render_prompts(&[chat])?.swap_remove(0))
    }

    /// Whether both handles render every chat in the same way.
    pub(crate) fn renders_as(&self, other: &Self) -> bool {
        let (one, other) = (&self.rendering, &other.rendering);
        let same_template = match (&one.template, &other.template) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same_template && one.variables == other.variables
    }

    /// [`Model::render_prompt`] of many chats, in one sandboxed process or few.
    pub(crate) fn render_prompts(&self, chats: &[&Chat]) -> Result<Vec<String>, ModelError> {
        let end = |chat: &Chat| match chat.response() {
            Some(_) => RenderEnd::ContinueFinalMessage,
            None => RenderEnd::GenerationPrompt,
        };
        let chats: Vec<(&Chat, RenderEnd)> = chats.iter().map(|&chat| (chat, end(chat))).collect();
        self.render_all(&chats)
    }

    pub(super) fn render_all(
        &self,
        chats: &[(&Chat, RenderEnd)],
    ) -> Result<Vec<String>, ModelError> {
        let variables = &self.rendering.variables;
        self.template()?.render_all(chats, variables)
    }

    /// Renders what precedes the text of the last message of `chat`.
    pub(super) fn render_before_final_text(&self, chat: &Chat) -> Result<String, ModelError> {
        let variables = &self.rendering.variables;
        self.template()?.render_before_final_text(chat, variables)
    }

    fn template(&self) -> Result<&ChatTemplate, ModelError> {
        let template = self.rendering.template.as_deref();
        template.ok_or_else(|| ModelError::Template {
            detail: format!("{} has no chat template", self.base.name),
        })
    }
}

fn compile(source: &str, tokenizer: &Tokenizer) -> Result<ChatTemplate, ModelError> {
    let text = |token: Option<u32>| token.and_then(|token| tokenizer.id_to_token(token));
    let special_tokens = SpecialTokens {
        bos_token: text(tokenizer.bos_token_id()),
        eos_token: text(tokenizer.eos_token_ids().first().copied()),
    };
    ChatTemplate::new(source, special_tokens)
}

/// Sets every variable by which templates switch reasoning on and off.
fn set_thinking(variables: &mut Variables, thinking: bool) {
    for name in ["enable_thinking", "thinking"] {
        variables.insert(name.to_owned(), thinking.into());
    }
}
