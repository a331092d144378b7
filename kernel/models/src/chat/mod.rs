//! Conversations, and the text that a model's template makes of them.
//!
//! - [`conversation`]: messages and chats;
//! - [`sources`]: where templates are kept; [`template`]: how they are rendered, with what they
//!   expect of [`python`], in a process with limits ([`isolated`]).

mod conversation;
mod isolated;
mod python;
#[cfg(test)]
mod reference;
mod sources;
mod template;

pub use conversation::{Chat, Message, Role};
pub(crate) use sources::{DEFAULT, Sources, of_folder, of_gguf};
pub(crate) use template::{ChatTemplate, Ending, SpecialTokens, Variables};
