//! Messages from the kernel.

use jupyter_protocol::{JupyterMessage, JupyterMessageContent, UnknownMessage};
use offmodel_events::CellError;
use serde_json::{Value, json};

/// The version of the messaging protocol that this kernel implements.
pub(crate) const PROTOCOL_VERSION: &str = "5.5";

/// A reply to `request`, addressed to the front end that sent it.
pub(crate) fn reply(
    request: &JupyterMessage,
    content: impl Into<JupyterMessageContent>,
) -> JupyterMessage {
    stamped(JupyterMessage::new(content, Some(request)))
}

/// A message for all front ends. `parent` is the request that led to it; the topic is its type.
pub(crate) fn publication(
    parent: Option<&JupyterMessage>,
    content: impl Into<JupyterMessageContent>,
) -> JupyterMessage {
    let mut message = stamped(JupyterMessage::new(content, parent));
    message.zmq_identities = vec![message.message_type().to_owned().into()];
    message
}

/// A reply for which `jupyter-protocol` has no type, or a type that lacks fields.
pub(crate) fn untyped_reply(request: &JupyterMessage, content: Value) -> JupyterMessage {
    let unknown = UnknownMessage {
        msg_type: request.header.msg_type.clone(),
        content: Value::Null,
    };
    reply(request, unknown.reply(content))
}

/// A reply to a [request that failed](https://jupyter-client.readthedocs.io/en/stable/messaging.html#request-reply).
pub(crate) fn error_reply(request: &JupyterMessage, error: &CellError) -> JupyterMessage {
    untyped_reply(
        request,
        json!({
            "status": "error",
            "ename": error.name,
            "evalue": error.value,
            "traceback": error.traceback,
        }),
    )
}

/// Logs that a message is sent, without its content.
pub(crate) fn log_sent(channel: &'static str, message: &JupyterMessage) {
    let parent = message.parent_header.as_ref();
    tracing::debug!(
        channel,
        message_type = message.message_type(),
        id = message.header.msg_id,
        parent = parent.map(|header| header.msg_id.as_str()),
        "sent"
    );
}

fn stamped(mut message: JupyterMessage) -> JupyterMessage {
    message.header.username = "kernel".to_owned();
    message.header.version = PROTOCOL_VERSION.to_owned();
    message
}
