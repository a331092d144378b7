//! A model's chat template, rendered as `apply_chat_template` of `transformers` renders it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;

use minijinja::{Environment, Error, Value, context};
use offmodel_events::interrupt;
use serde_json::Value as Json;

use super::sandbox::{self, SandboxLimits};
use super::{Chat, extensions, final_message, python};
use crate::ModelError;

/// The name of the template within its environment.
const NAME: &str = "chat";
/// Instructions that a template may execute: enough for thousands of messages, but not for ever.
const MAX_INSTRUCTIONS: u64 = 20_000_000;
/// Bytes that a template may write.
const MAX_TEXT_BYTES: usize = 64 << 20;
/// Chats that are rendered in one child process.
const MAX_CHATS_PER_CHILD: usize = 256;

/// A compiled chat template, with the special tokens that it may write.
///
/// Templates come with models from anywhere and are not trusted: they see only what is passed to
/// them, and they run in a [sandbox].
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: SpecialTokens,
}

/// The text of special tokens; absent if the tokenizer has none.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpecialTokens {
    pub(crate) bos_token: Option<String>,
    pub(crate) eos_token: Option<String>,
}

/// Values of further template variables, such as `enable_thinking`.
pub(crate) type Variables = BTreeMap<String, Json>;

/// Where the text of a chat ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenderEnd {
    /// After the last message.
    Closed,
    /// Where the assistant's next message starts: `add_generation_prompt`.
    GenerationPrompt,
    /// At the end of the text of the last message: `continue_final_message`.
    ContinueFinalMessage,
}

impl ChatTemplate {
    /// Compiles `source`.
    pub(crate) fn new(source: &str, special_tokens: SpecialTokens) -> Result<Self, ModelError> {
        let mut environment = Environment::new();
        // `transformers` sets these two options as well.
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(MAX_INSTRUCTIONS));
        environment.set_formatter(python::format);
        environment.set_unknown_method_callback(python::method);
        environment.add_filter("trim", python::trim);
        environment.add_filter("tojson", extensions::tojson);
        environment.add_test("sequence", python::is_sequence);
        environment.add_test("iterable", python::is_iterable);
        environment.add_function("raise_exception", extensions::raise_exception);
        environment.add_function("strftime_now", extensions::strftime_now);
        environment
            .add_template_owned(NAME, extensions::without_generation_blocks(source))
            .map_err(|error| template_error(message(error)))?;
        Ok(Self {
            environment,
            special_tokens,
        })
    }

    /// Renders one chat.
    pub(crate) fn render(
        &self,
        chat: &Chat,
        end: RenderEnd,
        variables: &Variables,
    ) -> Result<String, ModelError> {
        let texts = self.render_all(&[(chat, end)], variables)?;
        texts
            .into_iter()
            .next()
            .ok_or_else(|| template_error("no text"))
    }

    /// Renders many chats, in order. Fails with the error of the first chat that the template
    /// rejects.
    pub(crate) fn render_all(
        &self,
        chats: &[(&Chat, RenderEnd)],
        variables: &Variables,
    ) -> Result<Vec<String>, ModelError> {
        let mut texts = Vec::with_capacity(chats.len());
        for (index, chats) in chats.chunks(MAX_CHATS_PER_CHILD).enumerate() {
            // The time of one child is limited, so an interrupt need not be checked within it.
            if index > 0 {
                interrupt::check()?;
            }
            let marked: Vec<(Cow<Chat>, RenderEnd)> = chats
                .iter()
                .map(|&(chat, end)| match end {
                    RenderEnd::ContinueFinalMessage => (final_message::with_end_marked(chat), end),
                    RenderEnd::Closed | RenderEnd::GenerationPrompt => (Cow::Borrowed(chat), end),
                })
                .collect();
            let rendered = self.render_in_sandbox(&marked, variables)?;
            for (text, (chat, end)) in rendered.into_iter().zip(chats) {
                let text = text.map_err(template_error)?;
                texts.push(match end {
                    RenderEnd::ContinueFinalMessage => {
                        final_message::truncated_at_end(text, chat).map_err(template_error)?
                    }
                    RenderEnd::Closed | RenderEnd::GenerationPrompt => text,
                });
            }
        }
        Ok(texts)
    }

    /// Renders what precedes the text of the last message.
    pub(crate) fn render_before_final_text(
        &self,
        chat: &Chat,
        variables: &Variables,
    ) -> Result<String, ModelError> {
        let replaced = final_message::with_text_replaced(chat);
        let text = self.render(&replaced, RenderEnd::Closed, variables)?;
        final_message::truncated_at_start(text).map_err(template_error)
    }

    /// Renders chats in a child process. A chat that the template rejects yields a message.
    fn render_in_sandbox(
        &self,
        chats: &[(Cow<Chat>, RenderEnd)],
        variables: &Variables,
    ) -> Result<Vec<Result<String, String>>, ModelError> {
        sandbox::run(SandboxLimits::default(), chats.len(), |index| {
            let (chat, end) = &chats[index];
            self.render_in_this_process(chat, *end, variables)
        })
        .map_err(template_error)
    }

    fn render_in_this_process(
        &self,
        chat: &Chat,
        end: RenderEnd,
        variables: &Variables,
    ) -> Result<String, String> {
        let template = self.environment.get_template(NAME).map_err(message)?;
        let mut context: BTreeMap<&str, Value> = BTreeMap::new();
        // `transformers` defines these two even if it has no value for them.
        context.insert("tools", Value::from(()));
        context.insert("documents", Value::from(()));
        let special_tokens = [
            ("bos_token", &self.special_tokens.bos_token),
            ("eos_token", &self.special_tokens.eos_token),
        ];
        for (name, text) in special_tokens {
            if let Some(text) = text {
                context.insert(name, Value::from(text.as_str()));
            }
        }
        for (name, value) in variables {
            context.insert(name, Value::from_serialize(value));
        }
        let context = context! {
            messages => chat.messages,
            add_generation_prompt => end == RenderEnd::GenerationPrompt,
            ..Value::from_serialize(&context)
        };
        let mut text = BoundedText::default();
        match template.render_captured_to(context, &mut text) {
            Ok(_) => {}
            Err(_) if text.is_full => {
                return Err(format!(
                    "the template writes more than {MAX_TEXT_BYTES} bytes"
                ));
            }
            Err(error) => return Err(message(error)),
        }
        String::from_utf8(text.bytes).map_err(|error| error.to_string())
    }
}

/// A buffer that fails to write more than [`MAX_TEXT_BYTES`].
#[derive(Default)]
struct BoundedText {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for BoundedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_TEXT_BYTES {
            self.is_full = true;
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error with its cause and its line in the template, which only the alternate form shows.
fn message(error: Error) -> String {
    format!("{error:#}")
}

fn template_error(detail: impl Display) -> ModelError {
    ModelError::Template {
        detail: detail.to_string(),
    }
}
