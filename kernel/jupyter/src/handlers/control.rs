//! Requests on the [control](https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-control-router-dealer-channel)
//! socket, which are handled while a cell runs.

use std::marker::PhantomData;

use jupyter_protocol::{
    InterruptReply, JupyterMessage, JupyterMessageContent as Content, ReplyStatus, ShutdownReply,
    ShutdownRequest,
};
use offmodel_events::CellError;
use tokio::sync::watch;

use super::kernel_info::kernel_info;
use crate::interrupts::Interrupts;
use crate::kernel::Shutdown;
use crate::language::Language;
use crate::log::warning;
use crate::sockets::iopub::IoPub;
use crate::sockets::requests::{Replies, Request, Requests};
use crate::wire::outgoing::{error_reply, reply};

/// Handles the requests of the control socket.
pub(crate) struct Control<L> {
    pub interrupts: Interrupts,
    pub iopub: IoPub,
    pub shutdown: watch::Sender<Option<Shutdown>>,
    pub language: PhantomData<fn() -> L>,
}

impl<L> Clone for Control<L> {
    fn clone(&self) -> Self {
        Self {
            interrupts: self.interrupts.clone(),
            iopub: self.iopub.clone(),
            shutdown: self.shutdown.clone(),
            language: PhantomData,
        }
    }
}

impl<L: Language> Control<L> {
    /// Handles requests until the kernel shuts down.
    pub(crate) async fn run(self, mut requests: Requests, mut replies: Replies) {
        while let Some(request) = requests.next().await {
            let message = &request.message;
            self.iopub.busy(message).await;
            if let Some(reply) = self.handle(&request).await {
                replies.send(reply).await;
            }
            self.iopub.idle(message).await;
            if let Content::ShutdownRequest(content) = &message.content {
                self.shut_down(content);
            }
        }
    }

    async fn handle(&self, request: &Request) -> Option<JupyterMessage> {
        let message = &*request.message;
        if let Some(error) = &request.parse_error {
            return malformed_request(message, error);
        }
        match &message.content {
            Content::InterruptRequest(_) => Some(self.interrupt(message)),
            Content::ShutdownRequest(content) => Some(self.shutdown_reply(message, content).await),
            Content::KernelInfoRequest(_) => Some(kernel_info::<L>(message)),
            _ => unknown_request(message),
        }
    }

    /// Handles [`interrupt_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-interrupt).
    pub(crate) fn interrupt(&self, message: &JupyterMessage) -> JupyterMessage {
        self.interrupts.interrupt();
        reply(message, InterruptReply::new())
    }

    /// Handles [`shutdown_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-shutdown):
    /// publishes the reply on iopub too, as the protocol asks for. The kernel goes on until
    /// [`Control::shut_down`], so that the reply can be sent first.
    pub(crate) async fn shutdown_reply(
        &self,
        message: &JupyterMessage,
        request: &ShutdownRequest,
    ) -> JupyterMessage {
        let content = ShutdownReply {
            restart: request.restart,
            status: ReplyStatus::Ok,
            error: None,
        };
        self.iopub.publish(Some(message), content.clone()).await;
        reply(message, content)
    }

    /// Makes the kernel shut down; called once the reply has been sent.
    pub(crate) fn shut_down(&self, request: &ShutdownRequest) {
        self.shutdown.send_replace(Some(Shutdown {
            restart: request.restart,
        }));
    }
}

/// The reply to a request of a type that the kernel does not serve; none if the message is no
/// request.
pub(super) fn unknown_request(message: &JupyterMessage) -> Option<JupyterMessage> {
    let reason = "this kernel does not serve it";
    rejected(message, reason, reason)
}

/// The reply to a request whose content could not be parsed; none if the message is no request.
pub(super) fn malformed_request(message: &JupyterMessage, error: &str) -> Option<JupyterMessage> {
    // The parser's message may quote code, so it goes to the front end only.
    rejected(message, error, "its content is malformed")
}

fn rejected(message: &JupyterMessage, reason: &str, logged: &str) -> Option<JupyterMessage> {
    let message_type = &message.header.msg_type;
    if !message_type.ends_with("_request") {
        // Nobody waits for a reply.
        warning(format_args!("ignored {message_type}: {logged}"));
        return None;
    }
    warning(format_args!("cannot reply to {message_type}: {logged}"));
    let value = format!("cannot reply to {message_type}: {reason}");
    Some(error_reply(
        message,
        &CellError::new("unknown request", value),
    ))
}
