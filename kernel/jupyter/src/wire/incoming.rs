//! Receiving and parsing messages.

use jupyter_protocol::{JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::{RawMessage, RouterRecvConnection, RuntimeError};
use serde_json::Value;
use zeromq::SocketRecv;

use super::defaults::with_defaults;

/// A message whose signature is right and to which the kernel can reply.
#[derive(Debug)]
pub(crate) struct IncomingMessage {
    /// The message. Content that could not be parsed is kept as an unknown message.
    pub message: JupyterMessage,
    /// Why the content could not be parsed, if it could not. It may quote the content.
    pub parse_error: Option<String>,
}

/// Why no message was received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    /// The socket is closed.
    #[error("the socket is closed: {0}")]
    Closed(#[source] zeromq::ZmqError),
    /// The bytes are no Jupyter message, or the signature is wrong, so there is nobody to reply to.
    #[error("dropped a message: {0}")]
    Dropped(String),
}

/// Waits for the next message. Cancelling the future loses no message.
pub(crate) async fn receive(
    channel: &'static str,
    connection: &mut RouterRecvConnection,
) -> Result<IncomingMessage, ReceiveError> {
    let frames = connection
        .socket
        .recv()
        .await
        .map_err(ReceiveError::Closed)?;
    let raw = RawMessage::from_multipart(frames, &connection.mac)
        .map_err(|error| ReceiveError::Dropped(reason(&error)))?;
    let incoming = parse(raw)?;
    let header = &incoming.message.header;
    tracing::debug!(
        channel,
        message_type = header.msg_type,
        id = header.msg_id,
        "received"
    );
    Ok(incoming)
}

fn parse(raw: RawMessage) -> Result<IncomingMessage, ReceiveError> {
    let malformed = |part: &str, error: serde_json::Error| {
        ReceiveError::Dropped(format!("its {part} is malformed: {error}"))
    };
    let RawMessage {
        zmq_identities,
        jparts,
    } = raw;
    let [header, parent, metadata, content, buffers @ ..] = jparts.as_slice() else {
        return Err(ReceiveError::Dropped(format!(
            "it has {} parts",
            jparts.len()
        )));
    };
    let header: jupyter_protocol::Header =
        serde_json::from_slice(header).map_err(|error| malformed("header", error))?;
    let metadata =
        serde_json::from_slice(metadata).map_err(|error| malformed("metadata", error))?;
    let content: Value =
        serde_json::from_slice(content).map_err(|error| malformed("content", error))?;
    let content = with_defaults(&header.msg_type, content);
    let unknown = UnknownMessage {
        msg_type: header.msg_type.clone(),
        content: content.clone(),
    };
    let (content, parse_error) =
        match JupyterMessageContent::from_type_and_content(&header.msg_type, content) {
            Ok(content) => (content, None),
            Err(error) => (unknown.into(), Some(error.to_string())),
        };
    let message = JupyterMessage {
        zmq_identities,
        header,
        // A message without a parent has an empty object here, which is no header.
        parent_header: serde_json::from_slice(parent).ok(),
        metadata,
        content,
        buffers: buffers.to_vec(),
        channel: None,
    };
    Ok(IncomingMessage {
        message,
        parse_error,
    })
}

fn reason(error: &RuntimeError) -> String {
    match error {
        RuntimeError::VerifyError(_) | RuntimeError::DecodeError(_) => {
            "its signature is wrong".to_owned()
        }
        RuntimeError::MissingDelimiter => "it is no Jupyter message".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}
