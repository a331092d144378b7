//! Chats, and the chat templates that render them as text.
//!
//! | module | purpose |
//! |---|---|
//! | [`conversation`] | `Chat`, `Message` and `Role` |
//! | [`sources`] | where a model's files hold its chat templates |
//! | [`template`] | [`ChatTemplate`]: renders chats as `apply_chat_template` of `transformers` does |
//! | [`final_message`] | rendering up to the end, or the start, of the last message |
//! | [`extensions`] | what `transformers` adds to Jinja: functions, `tojson`, the `generation` block |
//! | [`python`] | where Python and `jinja2` differ from `minijinja` |
//! | [`sandbox`] | a child process with limits on memory and time, in which templates run |

mod conversation;
mod extensions;
mod final_message;
mod python;
#[cfg(test)]
mod reference_tests;
mod sandbox;
mod sources;
mod template;
#[cfg(test)]
mod template_tests;

pub use conversation::{Chat, Message, Role};
pub(crate) use sources::{
    DEFAULT_TEMPLATE, TemplateSources, templates_from_folder, templates_from_gguf,
};
pub(crate) use template::{ChatTemplate, RenderEnd, SpecialTokens, Variables};
