//! [Comms](https://jupyter-client.readthedocs.io/en/stable/messaging.html#custom-messages):
//! channels that a front end opens to a part of the kernel, its target.

use std::collections::{BTreeMap, HashMap};

use jupyter_protocol::{
    CommClose, CommId, CommInfo, CommInfoReply, CommMsg, CommOpen, JupyterMessageContent,
    ReplyStatus,
};
use serde_json::{Map, Value};

use crate::log::warning;

/// The `data` of a comm message.
pub type CommData = Map<String, Value>;

/// The targets that front ends can open comms to, by name.
pub type CommTargets = HashMap<String, Box<dyn CommTarget>>;

/// A part of the kernel that front ends open comms to.
pub trait CommTarget: Send {
    /// Handles [`comm_open`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#opening-a-comm).
    fn opened(&mut self, comm: &str, data: CommData) -> Vec<CommReply>;

    /// Handles [`comm_msg`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#comm-messages).
    fn received(&mut self, comm: &str, data: CommData) -> Vec<CommReply>;

    /// Handles [`comm_close`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#tearing-down-comms).
    fn closed(&mut self, comm: &str, data: CommData);
}

/// A message of a target to the front end that opened the comm.
#[derive(Debug, Clone, PartialEq)]
pub enum CommReply {
    /// A `comm_msg`.
    Message(CommData),
    /// A `comm_close`, after which the comm is no longer open.
    Close(CommData),
}

/// The targets, and the comms that are open to them.
#[derive(Default)]
pub(crate) struct Comms {
    targets: CommTargets,
    /// The target name of each open comm, by comm id.
    open: BTreeMap<String, String>,
}

impl Comms {
    pub(crate) fn new(targets: CommTargets) -> Self {
        Self {
            targets,
            open: BTreeMap::new(),
        }
    }

    /// Opens a comm; if there is no such target, the reply closes it in the front end.
    pub(crate) fn open(&mut self, request: CommOpen) -> Vec<JupyterMessageContent> {
        let CommOpen {
            comm_id: CommId(comm),
            target_name,
            data,
            ..
        } = request;
        let Some(target) = self.targets.get_mut(&target_name) else {
            warning(format_args!(
                "closed a comm that was opened to {target_name:?}, which is no target"
            ));
            return vec![close(comm, CommData::new())];
        };
        self.open.insert(comm.clone(), target_name);
        let replies = target.opened(&comm, data);
        self.contents(&comm, replies)
    }

    /// Passes a message to the comm's target.
    pub(crate) fn message(&mut self, request: CommMsg) -> Vec<JupyterMessageContent> {
        let CommMsg {
            comm_id: CommId(comm),
            data,
        } = request;
        let Some(target) = self
            .open
            .get(&comm)
            .and_then(|name| self.targets.get_mut(name))
        else {
            warning(format_args!(
                "ignored a comm_msg to {comm:?}, which is not open"
            ));
            return Vec::new();
        };
        let replies = target.received(&comm, data);
        self.contents(&comm, replies)
    }

    /// Removes a comm that the front end has closed.
    pub(crate) fn close(&mut self, request: CommClose) {
        let CommClose {
            comm_id: CommId(comm),
            data,
        } = request;
        let target = self
            .open
            .remove(&comm)
            .and_then(|name| self.targets.get_mut(&name));
        if let Some(target) = target {
            target.closed(&comm, data);
        }
    }

    /// The open comms to one target, or to all: the reply to a
    /// [`comm_info_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#comm-info).
    pub(crate) fn info(&self, target_name: Option<&str>) -> CommInfoReply {
        let comms = self
            .open
            .iter()
            .filter(|(_, target)| target_name.is_none_or(|name| name == *target))
            .map(|(comm, target)| {
                (
                    CommId(comm.clone()),
                    CommInfo {
                        target_name: target.clone(),
                    },
                )
            })
            .collect();
        CommInfoReply {
            status: ReplyStatus::Ok,
            comms,
            error: None,
        }
    }

    /// Turns a target's replies into messages, up to the first that closes the comm.
    fn contents(&mut self, comm: &str, replies: Vec<CommReply>) -> Vec<JupyterMessageContent> {
        let mut contents = Vec::new();
        for reply in replies {
            match reply {
                CommReply::Message(data) => {
                    contents.push(
                        CommMsg {
                            comm_id: CommId(comm.to_owned()),
                            data,
                        }
                        .into(),
                    );
                }
                CommReply::Close(data) => {
                    self.open.remove(comm);
                    contents.push(close(comm.to_owned(), data));
                    break;
                }
            }
        }
        contents
    }
}

fn close(comm: String, data: CommData) -> JupyterMessageContent {
    CommClose {
        comm_id: CommId(comm),
        data,
    }
    .into()
}
