//! Requests on the [control](https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-control-router-dealer-channel)
//! socket, handled while a cell runs.

use std::marker::PhantomData;

use jupyter_protocol::{
    InterruptReply, JupyterMessage, JupyterMessageContent as Content, ReplyStatus, ShutdownReply,
    ShutdownRequest,
};
use offmodel_events::CellError;
use tokio::sync::watch;

use super::kernel_info::kernel_info;
use super::shell::ignore;
use crate::interrupts::Interrupts;
use crate::kernel::Ending;
use crate::language::Language;
use crate::log::warning;
use crate::sockets::iopub::IoPub;
use crate::sockets::requests::{Arrival, Replies, Requests};
use crate::wire::outgoing::{error_reply, reply};

/// Handles the requests of the control socket.
pub(crate) struct Control<L> {
    pub interrupts: Interrupts,
    pub iopub: IoPub,
    pub ending: watch::Sender<Option<Ending>>,
    pub language: PhantomData<fn() -> L>,
}

impl<L> Clone for Control<L> {
    fn clone(&self) -> Self {
        Self {
            interrupts: self.interrupts.clone(),
            iopub: self.iopub.clone(),
            ending: self.ending.clone(),
            language: PhantomData,
        }
    }
}

impl<L: Language> Control<L> {
    /// Handles requests until the kernel ends.
    pub async fn run(self, mut requests: Requests, mut replies: Replies) {
        while let Some(arrival) = requests.next().await {
            let request = arrival.message.clone();
            self.iopub.busy(&request).await;
            if let Some(message) = self.handle(&arrival).await {
                replies.send(message).await;
            }
            self.iopub.idle(&request).await;
            if let Content::ShutdownRequest(request) = &request.content {
                self.end(request);
            }
        }
    }

    async fn handle(&self, arrival: &Arrival) -> Option<JupyterMessage> {
        let message = &*arrival.message;
        if let Some(problem) = &arrival.problem {
            return unknown_request(message, problem);
        }
        match &message.content {
            Content::InterruptRequest(_) => Some(self.interrupt(message)),
            Content::ShutdownRequest(request) => Some(self.shut_down(message, request).await),
            Content::KernelInfoRequest(_) => Some(kernel_info::<L>(message)),
            _ => unknown_request(message, "this kernel does not know it"),
        }
    }

    /// [Kernel interrupt](https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-interrupt).
    pub fn interrupt(&self, message: &JupyterMessage) -> JupyterMessage {
        self.interrupts.request();
        reply(message, InterruptReply::new())
    }

    /// [Kernel shutdown](https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-shutdown):
    /// tells everybody, and gives the reply. The kernel ends with [`Control::end`].
    pub async fn shut_down(
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

    /// Ends the kernel, once the reply has been sent.
    pub fn end(&self, request: &ShutdownRequest) {
        self.ending.send_replace(Some(Ending {
            restart: request.restart,
        }));
    }
}

/// The reply to a request that cannot be served; none if the message is no request.
pub(super) fn unknown_request(message: &JupyterMessage, reason: &str) -> Option<JupyterMessage> {
    let message_type = &message.header.msg_type;
    if !message_type.ends_with("_request") {
        ignore(message, reason);
        return None;
    }
    warning(format_args!("cannot answer {message_type}: {reason}"));
    let value = format!("cannot answer {message_type}: {reason}");
    let error = CellError::new("unknown request", value);
    Some(error_reply(message, &error))
}
