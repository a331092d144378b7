//! Requests on the [shell](https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-shell-router-dealer-channel)
//! socket, handled one after the other in the order of arrival.

use jupyter_protocol::{
    CompleteReply, CompleteRequest, InspectReply, InspectRequest, IsCompleteReply, JupyterMessage,
    JupyterMessageContent as Content,
};
use offmodel_events::CellError;
use serde_json::{Value, json};

use super::comms::Comms;
use super::control::{Control, unknown_request};
use super::execute::Executor;
use super::kernel_info::kernel_info;
use crate::language::{Candidate, Completeness, Detail, Language};
use crate::log::warning;
use crate::sockets::iopub::IoPub;
use crate::sockets::requests::{Arrival, Replies, Requests};
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
    /// Handles requests until the kernel ends.
    pub async fn run(mut self, mut requests: Requests) {
        while let Some(arrival) = requests.next().await {
            let request = arrival.message.clone();
            self.iopub.busy(&request).await;
            if let Some(message) = self.handle(&arrival).await {
                self.replies.send(message).await;
            }
            self.iopub.idle(&request).await;
        }
    }

    /// The reply to a message; comm messages have none.
    async fn handle(&mut self, arrival: &Arrival) -> Option<JupyterMessage> {
        let message = &*arrival.message;
        if let Some(problem) = &arrival.problem {
            return unknown_request(message, problem);
        }
        let answer = match message.content.clone() {
            Content::ExecuteRequest(request) => self.executor.execute(arrival, request).await,
            Content::CompleteRequest(request) => match self.complete(request).await {
                Ok(content) => reply(message, content),
                Err(error) => error_reply(message, &error),
            },
            Content::InspectRequest(request) => match self.inspect(request).await {
                Ok(content) => reply(message, content),
                Err(error) => error_reply(message, &error),
            },
            Content::IsCompleteRequest(request) => reply(message, is_complete::<L>(&request.code)),
            Content::HistoryRequest(request) => {
                reply(message, self.executor.history.reply(&request))
            }
            Content::KernelInfoRequest(_) => kernel_info::<L>(message),
            Content::CommInfoRequest(request) => {
                reply(message, self.comms.info(request.target_name.as_deref()))
            }
            Content::CommOpen(request) => {
                let contents = self.comms.open(request);
                return self.publish(message, contents).await;
            }
            Content::CommMsg(request) => {
                let contents = self.comms.message(request);
                return self.publish(message, contents).await;
            }
            Content::CommClose(request) => {
                self.comms.close(request);
                return None;
            }
            // Older front ends send these two here.
            Content::InterruptRequest(_) => self.control.interrupt(message),
            Content::ShutdownRequest(request) => {
                let answer = self.control.shut_down(message, &request).await;
                self.replies.send(answer).await;
                self.control.end(&request);
                return None;
            }
            _ => return unknown_request(message, "this kernel does not know it"),
        };
        Some(answer)
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

    /// [Completion](https://jupyter-client.readthedocs.io/en/stable/messaging.html#completion).
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

    /// [Introspection](https://jupyter-client.readthedocs.io/en/stable/messaging.html#introspection).
    async fn inspect(&mut self, request: InspectRequest) -> Result<InspectReply, CellError> {
        let InspectRequest {
            code,
            cursor_pos,
            detail_level,
        } = request;
        let detail = if detail_level == Some(0) {
            Detail::Summary
        } else {
            Detail::Source
        };
        let work = move |language: &mut L| {
            let found = language.inspect(&code, byte_offset(&code, cursor_pos), detail);
            InspectReply {
                found: found.is_some(),
                data: found.map(media).unwrap_or_default(),
                ..Default::default()
            }
        };
        self.executor.language.run(work).await
    }
}

/// With the kinds and signatures that JupyterLab shows beside the names; the name of that field
/// is ipykernel's.
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

/// [Code completeness](https://jupyter-client.readthedocs.io/en/stable/messaging.html#code-completeness).
fn is_complete<L: Language>(source: &str) -> IsCompleteReply {
    match L::is_complete(source) {
        Completeness::Complete => IsCompleteReply::complete(),
        Completeness::Incomplete { indent } => IsCompleteReply::incomplete(indent),
        Completeness::Invalid => IsCompleteReply::invalid(),
    }
}

/// Used by both sockets for what is no request at all: nobody waits for an answer.
pub(super) fn ignore(message: &JupyterMessage, reason: &str) {
    warning(format_args!(
        "ignored {}: {reason}",
        message.header.msg_type
    ));
}
