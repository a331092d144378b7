//! Messages that leave.

use jupyter_protocol::{JupyterMessage, JupyterMessageContent, UnknownMessage};
use offmodel_events::CellError;
use serde_json::{Value, json};

/// The protocol that this kernel speaks.
pub(crate) const PROTOCOL_VERSION: &str = "5.5";

/// The answer to `request`, addressed to whoever sent it.
pub(crate) fn reply(
    request: &JupyterMessage,
    content: impl Into<JupyterMessageContent>,
) -> JupyterMessage {
    stamped(JupyterMessage::new(content, Some(request)))
}

/// A message for everybody. What it is a consequence of is its parent; its type is its topic.
pub(crate) fn publication(
    parent: Option<&JupyterMessage>,
    content: impl Into<JupyterMessageContent>,
) -> JupyterMessage {
    let mut message = stamped(JupyterMessage::new(content, parent));
    message.zmq_identities = vec![message.message_type().to_owned().into()];
    message
}

/// An answer that `jupyter-protocol` has no type for, or not all the fields of.
pub(crate) fn untyped_reply(request: &JupyterMessage, content: Value) -> JupyterMessage {
    let unknown = UnknownMessage {
        msg_type: request.header.msg_type.clone(),
        content: Value::Null,
    };
    reply(request, unknown.reply(content))
}

/// The answer to a request that cannot be served.
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

fn stamped(mut message: JupyterMessage) -> JupyterMessage {
    message.header.username = "kernel".to_owned();
    message.header.version = PROTOCOL_VERSION.to_owned();
    message
}
