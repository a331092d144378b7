//! Messages that arrive.

use jupyter_protocol::{JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::{RawMessage, RouterRecvConnection, RuntimeError};
use serde_json::Value;
use zeromq::SocketRecv;

use super::defaults::with_defaults;

/// A message that was rightly signed, and can be answered.
#[derive(Debug)]
pub(crate) struct Received {
    /// The message. If it could not be understood, its content is the unknown message.
    pub message: JupyterMessage,
    /// Why it could not be understood.
    pub problem: Option<String>,
}

/// Why no message came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    /// The socket is closed.
    #[error("the socket is closed: {0}")]
    Closed(#[source] zeromq::ZmqError),
    /// What came is no Jupyter message, or its signature is wrong: nobody to answer.
    #[error("dropped a message: {0}")]
    Dropped(String),
}

/// Waits for the next message. May be cancelled without losing one.
pub(crate) async fn receive(
    connection: &mut RouterRecvConnection,
) -> Result<Received, ReceiveError> {
    let frames = connection
        .socket
        .recv()
        .await
        .map_err(ReceiveError::Closed)?;
    let raw = RawMessage::from_multipart(frames, &connection.mac)
        .map_err(|error| ReceiveError::Dropped(reason(&error)))?;
    parse(raw)
}

fn parse(raw: RawMessage) -> Result<Received, ReceiveError> {
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
    let (content, problem) =
        match JupyterMessageContent::from_type_and_content(&header.msg_type, content) {
            Ok(content) => (content, None),
            Err(error) => (unknown.into(), Some(error.to_string())),
        };
    let message = JupyterMessage {
        zmq_identities,
        header,
        // No parent is sent as an empty object.
        parent_header: serde_json::from_slice(parent).ok(),
        metadata,
        content,
        buffers: buffers.to_vec(),
        channel: None,
    };
    Ok(Received { message, problem })
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
