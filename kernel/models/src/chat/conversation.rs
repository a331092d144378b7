//! Messages and chats.

use serde::{Deserialize, Serialize};

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Standing instructions.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: String,
}

/// Messages in order. As JSON: `{"messages": [{"role": "user", "content": "..."}]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
}

impl Chat {
    /// A chat that begins with one user message.
    pub fn user(content: impl Into<String>) -> Self {
        Self::default().message(Role::User, content)
    }

    /// Sets the system message, which comes first.
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

    /// The text of the last message, if it is the assistant's.
    pub fn response(&self) -> Option<&str> {
        self.messages
            .last()
            .filter(|last| last.role == Role::Assistant)
            .map(|last| last.content.as_str())
    }

    /// The messages before a last assistant message; all of them if there is none.
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
        let said: Vec<_> = chat
            .messages
            .iter()
            .map(|m| (m.role, m.content.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (Role::System, "be kind"),
                (Role::User, "hi"),
                (Role::Assistant, "hello")
            ]
        );
    }

    #[test]
    fn the_prompt_is_what_precedes_the_response() {
        let chat = Chat::user("hi");
        assert_eq!((chat.prompt(), chat.response()), (chat.clone(), None));
        let answered = chat.clone().assistant("hello");
        assert_eq!(
            (answered.prompt(), answered.response()),
            (chat, Some("hello"))
        );
    }

    #[test]
    fn json_is_the_common_messages_form() {
        let json = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
        assert_eq!(
            serde_json::from_str::<Chat>(json).unwrap(),
            Chat::user("hi")
        );
        assert_eq!(serde_json::to_string(&Chat::user("hi")).unwrap(), json);
    }
}
