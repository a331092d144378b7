//! The [stdin](https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-stdin-router-dealer-channel)
//! socket: here the kernel asks and the front end answers.

use jupyter_protocol::{InputRequest, JupyterMessage, JupyterMessageContent, ReplyStatus};
use jupyter_zmq_client::{KernelStdinConnection, RouterRecvConnection, RouterSendConnection};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::language::InputError;
use crate::log::warning;
use crate::wire::incoming::{ReceiveError, receive};
use crate::wire::outgoing::reply;

/// Asks questions, one at a time.
pub(crate) struct Stdin {
    connection: RouterSendConnection,
    answers: mpsc::UnboundedReceiver<JupyterMessage>,
}

/// Starts to receive answers.
pub(crate) fn listen(connection: KernelStdinConnection) -> (Stdin, JoinHandle<()>) {
    let (connection, receiver) = connection.split();
    let (sender, answers) = mpsc::unbounded_channel();
    let task = tokio::spawn(forward(receiver, sender));
    (
        Stdin {
            connection,
            answers,
        },
        task,
    )
}

impl Stdin {
    /// Asks the front end that sent `request`, and waits for its answer or for `interrupted`.
    pub async fn ask(
        &mut self,
        request: &JupyterMessage,
        prompt: &str,
        password: bool,
        interrupted: impl Future<Output = ()>,
    ) -> Result<String, InputError> {
        // Answers to questions that were given up.
        while self.answers.try_recv().is_ok() {}
        // A front end gives its stdin socket the identity of its shell socket, so that an answer
        // to the request reaches it here.
        let question = reply(
            request,
            InputRequest {
                prompt: prompt.to_owned(),
                password,
            },
        );
        let question_id = question.header.msg_id.clone();
        if let Err(error) = self.connection.send(question).await {
            warning(format_args!(
                "failed to send input_request on stdin: {error}"
            ));
            return Err(InputError::Disconnected);
        }
        tokio::pin!(interrupted);
        loop {
            let answer = tokio::select! {
                answer = self.answers.recv() => answer.ok_or(InputError::Disconnected)?,
                () = &mut interrupted => return Err(InputError::Interrupted),
            };
            // Some front ends name the question that they answer, `jupyter_client` does not.
            let is_for_another = answer
                .parent_header
                .as_ref()
                .is_some_and(|parent| parent.msg_id != question_id);
            let JupyterMessageContent::InputReply(content) = answer.content else {
                continue;
            };
            if is_for_another {
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
    sender: mpsc::UnboundedSender<JupyterMessage>,
) {
    loop {
        match receive(&mut receiver).await {
            Ok(received) if received.problem.is_none() => {
                if sender.send(received.message).is_err() {
                    return;
                }
            }
            Ok(received) => warning(format_args!(
                "stdin: dropped {}: {}",
                received.message.header.msg_type,
                received.problem.unwrap_or_default()
            )),
            Err(error @ ReceiveError::Dropped(_)) => warning(format_args!("stdin: {error}")),
            Err(error @ ReceiveError::Closed(_)) => {
                warning(format_args!("stdin: {error}"));
                return;
            }
        }
    }
}
