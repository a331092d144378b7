//! Conversations, and the text that a model's template makes of them.

mod conversation;
mod template;

pub use conversation::{Chat, Message, Role};
pub(crate) use template::ChatTemplate;
