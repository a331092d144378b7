//! Rendering up to the end, or the start, of the last message.
//!
//! A template renders whole messages. To find where the text of the last message ends, a marker is
//! appended to the message before rendering, as `continue_final_message` of `transformers` does, and
//! the rendered text is truncated at the marker.

use std::borrow::Cow;

use super::Chat;
use super::python::is_space;

/// The marker of `transformers`. A template that trims messages removes the space at its end.
const MARKER: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// The chat with the marker at the end of its last message.
pub(super) fn with_end_marked(chat: &Chat) -> Cow<'_, Chat> {
    let mut chat = Cow::Borrowed(chat);
    if !chat.messages.is_empty()
        && let Some(last) = chat.to_mut().messages.last_mut()
    {
        last.content.push_str(MARKER);
    }
    chat
}

/// Truncates the text of a chat [with its end marked](with_end_marked) where the last message of the
/// unmarked `chat` ends.
pub(super) fn truncated_at_end(mut text: String, chat: &Chat) -> Result<String, String> {
    let Some(last) = chat.messages.last() else {
        return Err("there is no message to continue".to_owned());
    };
    let message = last.content.trim_matches(is_space);
    let (true, Some(end)) = (text.contains(message), text.rfind(MARKER.trim_end())) else {
        return Err(
            "the message to continue is not in the text of the chat: the template changes it"
                .to_owned(),
        );
    };
    let keeps_spaces = text[end..].starts_with(MARKER);
    text.truncate(end);
    if !keeps_spaces {
        // The template trims messages, but the marker has protected the spaces before it.
        text.truncate(text.trim_end_matches(is_space).len());
    }
    Ok(text)
}

/// The chat with the marker in place of its last message.
pub(super) fn with_text_replaced(chat: &Chat) -> Chat {
    let mut chat = chat.clone();
    if let Some(last) = chat.messages.last_mut() {
        MARKER.trim_end().clone_into(&mut last.content);
    }
    chat
}

/// Truncates the text of a chat [with its last text replaced](with_text_replaced) where that text
/// starts.
pub(super) fn truncated_at_start(mut text: String) -> Result<String, String> {
    let Some(start) = text.rfind(MARKER.trim_end()) else {
        return Err("the template leaves out the last message".to_owned());
    };
    text.truncate(start);
    Ok(text)
}
