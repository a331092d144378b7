//! The [stdin](https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-stdin-router-dealer-channel)
//! socket, on which the kernel sends requests and the front end replies.

use jupyter_protocol::{InputRequest, JupyterMessage, JupyterMessageContent, ReplyStatus};
use jupyter_zmq_client::{KernelStdinConnection, RouterRecvConnection, RouterSendConnection};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::language::InputError;
use crate::log::warning;
use crate::wire::incoming::{ReceiveError, receive};
use crate::wire::outgoing::{log_sent, reply};

const CHANNEL: &str = "stdin";

/// Requests input from the user, one line at a time.
pub(crate) struct Stdin {
    connection: RouterSendConnection,
    replies: mpsc::UnboundedReceiver<JupyterMessage>,
}

/// Starts the task that receives input replies.
pub(crate) fn listen(connection: KernelStdinConnection) -> (Stdin, JoinHandle<()>) {
    let (connection, receiver) = connection.split();
    let (sender, replies) = mpsc::unbounded_channel();
    let task = tokio::spawn(forward(receiver, sender));
    (
        Stdin {
            connection,
            replies,
        },
        task,
    )
}

impl Stdin {
    /// Sends an `input_request` to the front end that sent the cell, and waits for its
    /// `input_reply` or for `interrupted`.
    pub(crate) async fn request_input(
        &mut self,
        execute_request: &JupyterMessage,
        prompt: &str,
        password: bool,
        interrupted: impl Future<Output = ()>,
    ) -> Result<String, InputError> {
        // A reply that came after its cell was interrupted must not be taken for the next one's.
        while self.replies.try_recv().is_ok() {}
        // A front end gives its stdin socket the identity of its shell socket, so that a message
        // addressed like the reply to its request reaches it here.
        let request = reply(
            execute_request,
            InputRequest {
                prompt: prompt.to_owned(),
                password,
            },
        );
        let request_id = request.header.msg_id.clone();
        log_sent(CHANNEL, &request);
        if let Err(error) = self.connection.send(request).await {
            warning(format_args!(
                "failed to send input_request on stdin: {error}"
            ));
            return Err(InputError::Disconnected);
        }
        tokio::pin!(interrupted);
        loop {
            let reply = tokio::select! {
                reply = self.replies.recv() => reply.ok_or(InputError::Disconnected)?,
                () = &mut interrupted => return Err(InputError::Interrupted),
            };
            // `jupyter_client` sends replies without a parent, other front ends with one.
            let is_for_another_request = reply
                .parent_header
                .as_ref()
                .is_some_and(|parent| parent.msg_id != request_id);
            let JupyterMessageContent::InputReply(content) = reply.content else {
                continue;
            };
            if is_for_another_request {
                continue;
            }
            return match content.status {
                ReplyStatus::Ok => Ok(content.value),
                ReplyStatus::Error | ReplyStatus::Aborted => Err(InputError::Interrupted),
            };
        }
    }
}

async fn forward(
    mut receiver: RouterRecvConnection,
    replies: mpsc::UnboundedSender<JupyterMessage>,
) {
    loop {
        match receive(CHANNEL, &mut receiver).await {
            Ok(incoming) if incoming.parse_error.is_none() => {
                if replies.send(incoming.message).is_err() {
                    return;
                }
            }
            // The parser's message may quote what the user typed, so it is not shown.
            Ok(incoming) => warning(format_args!(
                "stdin: dropped {}, whose content is malformed",
                incoming.message.header.msg_type
            )),
            Err(error @ ReceiveError::Dropped(_)) => warning(format_args!("stdin: {error}")),
            Err(error @ ReceiveError::Closed(_)) => {
                warning(format_args!("stdin: {error}"));
                return;
            }
        }
    }
}
