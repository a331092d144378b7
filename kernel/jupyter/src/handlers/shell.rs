//! Requests on the [shell](https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-shell-router-dealer-channel)
//! socket, which are handled one after the other in the order in which they are received.

use jupyter_protocol::{
    CompleteReply, CompleteRequest, InspectReply, InspectRequest, IsCompleteReply, JupyterMessage,
    JupyterMessageContent as Content,
};
use offmodel_events::CellError;
use serde_json::{Value, json};

use super::comms::Comms;
use super::control::{Control, malformed_request, unknown_request};
use super::execute::Executor;
use super::kernel_info::kernel_info;
use crate::language::{Candidate, Completeness, DetailLevel, Language};
use crate::sockets::iopub::IoPub;
use crate::sockets::requests::{Replies, Request, Requests};
use crate::wire::outgoing::{error_reply, reply};
use crate::wire::outputs::media;
use crate::wire::position::{byte_offset, code_points};

/// Handles the requests of the shell socket.
pub(crate) struct Shell<L> {
    pub executor: Executor<L>,
    pub comms: Comms,
    pub control: Control<L>,
    pub iopub: IoPub,
    pub replies: Replies,
}

impl<L: Language> Shell<L> {
    /// Handles requests until the kernel shuts down.
    pub(crate) async fn run(mut self, mut requests: Requests) {
        while let Some(request) = requests.next().await {
            self.iopub.busy(&request.message).await;
            if let Some(reply) = self.handle(&request).await {
                self.replies.send(reply).await;
            }
            self.iopub.idle(&request.message).await;
        }
    }

    /// The reply to a message; comm messages have none.
    async fn handle(&mut self, request: &Request) -> Option<JupyterMessage> {
        let message = &*request.message;
        if let Some(error) = &request.parse_error {
            return malformed_request(message, error);
        }
        let reply = match message.content.clone() {
            Content::ExecuteRequest(content) => self.executor.execute(request, content).await,
            Content::CompleteRequest(content) => match self.complete(content).await {
                Ok(content) => reply(message, content),
                Err(error) => error_reply(message, &error),
            },
            Content::InspectRequest(content) => match self.inspect(content).await {
                Ok(content) => reply(message, content),
                Err(error) => error_reply(message, &error),
            },
            Content::IsCompleteRequest(content) => reply(message, is_complete::<L>(&content.code)),
            Content::HistoryRequest(content) => {
                reply(message, self.executor.history.reply(&content))
            }
            Content::KernelInfoRequest(_) => kernel_info::<L>(message),
            Content::CommInfoRequest(content) => {
                reply(message, self.comms.info(content.target_name.as_deref()))
            }
            Content::CommOpen(content) => {
                let contents = self.comms.open(content);
                return self.publish(message, contents).await;
            }
            Content::CommMsg(content) => {
                let contents = self.comms.message(content);
                return self.publish(message, contents).await;
            }
            Content::CommClose(content) => {
                self.comms.close(content);
                return None;
            }
            // Older front ends send these two on shell.
            Content::InterruptRequest(_) => self.control.interrupt(message),
            Content::ShutdownRequest(content) => {
                let reply = self.control.shutdown_reply(message, &content).await;
                self.replies.send(reply).await;
                self.control.shut_down(&content);
                return None;
            }
            _ => return unknown_request(message),
        };
        Some(reply)
    }

    async fn publish(
        &mut self,
        message: &JupyterMessage,
        contents: Vec<Content>,
    ) -> Option<JupyterMessage> {
        for content in contents {
            self.iopub.publish(Some(message), content).await;
        }
        None
    }

    /// Handles [`complete_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#completion).
    async fn complete(&mut self, request: CompleteRequest) -> Result<CompleteReply, CellError> {
        let CompleteRequest { code, cursor_pos } = request;
        let work = move |language: &mut L| {
            let found = language.complete(&code, byte_offset(&code, cursor_pos));
            completions(
                found.candidates,
                code_points(&code, found.start),
                code_points(&code, found.end),
            )
        };
        self.executor.language.run(work).await
    }

    /// Handles [`inspect_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#introspection).
    async fn inspect(&mut self, request: InspectRequest) -> Result<InspectReply, CellError> {
        let InspectRequest {
            code,
            cursor_pos,
            detail_level,
        } = request;
        let detail_level = match detail_level {
            Some(0) => DetailLevel::Documentation,
            _ => DetailLevel::Source,
        };
        let work = move |language: &mut L| {
            let found = language.inspect(&code, byte_offset(&code, cursor_pos), detail_level);
            InspectReply {
                found: found.is_some(),
                data: found.map(media).unwrap_or_default(),
                ..Default::default()
            }
        };
        self.executor.language.run(work).await
    }
}

/// The reply with the candidates, which replace the code points from `start` to `end`.
///
/// The metadata holds the kinds and signatures that JupyterLab shows beside the names. Its field is
/// no part of the protocol: ipykernel introduced it.
fn completions(candidates: Vec<Candidate>, start: usize, end: usize) -> CompleteReply {
    let types: Vec<Value> = candidates
        .iter()
        .map(|candidate| {
            json!({
                "start": start, "end": end, "text": candidate.text,
                "type": candidate.kind, "signature": candidate.signature,
            })
        })
        .collect();
    let mut reply = CompleteReply {
        matches: candidates
            .into_iter()
            .map(|candidate| candidate.text)
            .collect(),
        cursor_start: start,
        cursor_end: end,
        ..Default::default()
    };
    reply
        .metadata
        .insert("_jupyter_types_experimental".to_owned(), types.into());
    reply
}

/// Handles [`is_complete_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#code-completeness).
fn is_complete<L: Language>(source: &str) -> IsCompleteReply {
    match L::is_complete(source) {
        Completeness::Complete => IsCompleteReply::complete(),
        Completeness::Incomplete { indent } => IsCompleteReply::incomplete(indent),
        Completeness::Invalid => IsCompleteReply::invalid(),
    }
}
