//! Chats and their messages.

use serde::{Deserialize, Serialize};

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that hold for the whole chat.
    System,
    /// The person, or program, that talks to the model.
    User,
    /// The model.
    Assistant,
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The author.
    pub role: Role,
    /// The text.
    pub content: String,
}

/// A conversation. In JSON: `{"messages": [{"role": "user", "content": "..."}]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
}

impl Chat {
    /// Starts a chat with a user message.
    pub fn user(content: impl Into<String>) -> Self {
        Self::default().message(Role::User, content)
    }

    /// Sets the system message. It comes first, and replaces an earlier one.
    #[must_use]
    pub fn system(mut self, content: impl Into<String>) -> Self {
        let message = Message {
            role: Role::System,
            content: content.into(),
        };
        match self.messages.first_mut() {
            Some(first) if first.role == Role::System => *first = message,
            _ => self.messages.insert(0, message),
        }
        self
    }

    /// Appends an assistant message.
    #[must_use]
    pub fn assistant(self, content: impl Into<String>) -> Self {
        self.message(Role::Assistant, content)
    }

    /// Appends a message.
    #[must_use]
    pub fn message(mut self, role: Role, content: impl Into<String>) -> Self {
        self.messages.push(Message {
            role,
            content: content.into(),
        });
        self
    }

    /// The text of the last message if it is the assistant's.
    pub fn response(&self) -> Option<&str> {
        self.messages
            .last()
            .filter(|last| last.role == Role::Assistant)
            .map(|last| last.content.as_str())
    }

    /// The chat without its [response](Chat::response).
    #[must_use]
    pub fn prompt(&self) -> Self {
        let end = self.messages.len() - usize::from(self.response().is_some());
        Self {
            messages: self.messages[..end].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_message_comes_first_and_is_set_once() {
        let chat = Chat::user("hi")
            .system("be brief")
            .assistant("hello")
            .system("be kind");
        let messages: Vec<_> = chat
            .messages
            .iter()
            .map(|m| (m.role, m.content.as_str()))
            .collect();
        assert_eq!(
            messages,
            [
                (Role::System, "be kind"),
                (Role::User, "hi"),
                (Role::Assistant, "hello")
            ]
        );
    }

    #[test]
    fn prompt_and_response_are_the_parts_of_a_chat() {
        let chat = Chat::user("hi");
        assert_eq!((chat.prompt(), chat.response()), (chat.clone(), None));
        let whole = chat.clone().assistant("hello");
        assert_eq!((whole.prompt(), whole.response()), (chat, Some("hello")));
    }

    #[test]
    fn json_has_the_usual_form_of_messages() {
        let json = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
        assert_eq!(
            serde_json::from_str::<Chat>(json).unwrap(),
            Chat::user("hi")
        );
        assert_eq!(serde_json::to_string(&Chat::user("hi")).unwrap(), json);
    }
}
