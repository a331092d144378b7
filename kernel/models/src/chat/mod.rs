//! Conversations, and the text that a model's template makes of them.
//!
//! - [`conversation`]: messages and chats;
//! - [`sources`]: where templates are kept; [`template`]: how they are rendered, with what they
//!   expect of [`python`], in a process with limits ([`sandbox`]).

mod conversation;
mod python;
#[cfg(test)]
mod reference_tests;
mod sandbox;
mod sources;
mod template;

pub use conversation::{Chat, Message, Role};
pub(crate) use sources::{
    DEFAULT_TEMPLATE, TemplateSources, templates_from_folder, templates_from_gguf,
};
pub(crate) use template::{ChatTemplate, RenderEnd, SpecialTokens, Variables};
