//! [Comms](https://jupyter-client.readthedocs.io/en/stable/messaging.html#custom-messages):
//! conversations of a front end with a part of the kernel, opened by the front end.

use std::collections::{BTreeMap, HashMap};

use jupyter_protocol::{
    CommClose, CommId, CommInfo, CommInfoReply, CommMsg, CommOpen, JupyterMessageContent,
    ReplyStatus,
};
use serde_json::{Map, Value};

use crate::log::warning;

/// The contents of a comm message.
pub type CommData = Map<String, Value>;

/// What can be talked to, by target name.
pub type CommTargets = HashMap<String, Box<dyn CommTarget>>;

/// A part of the kernel that front ends open comms to.
pub trait CommTarget: Send {
    /// A front end has opened `comm`.
    fn opened(&mut self, comm: &str, data: CommData) -> Vec<CommReply>;

    /// The front end says something.
    fn received(&mut self, comm: &str, data: CommData) -> Vec<CommReply>;

    /// The front end has closed `comm`.
    fn closed(&mut self, comm: &str, data: CommData);
}

/// What a target does in return.
#[derive(Debug, Clone, PartialEq)]
pub enum CommReply {
    /// Says something.
    Message(CommData),
    /// Says a last thing and closes the comm.
    Close(CommData),
}

/// The targets and the comms that are open to them.
#[derive(Default)]
pub(crate) struct Comms {
    targets: CommTargets,
    /// From comm to target name.
    open: BTreeMap<String, String>,
}

impl Comms {
    pub fn new(targets: CommTargets) -> Self {
        Self {
            targets,
            open: BTreeMap::new(),
        }
    }

    /// Opens a comm. If there is no such target, it is closed at once on the other side too.
    pub fn open(&mut self, request: CommOpen) -> Vec<JupyterMessageContent> {
        let CommOpen {
            comm_id: CommId(comm),
            target_name,
            data,
            ..
        } = request;
        let Some(target) = self.targets.get_mut(&target_name) else {
            warning(format_args!("there is no comm target {target_name:?}"));
            return vec![close(comm, CommData::new())];
        };
        self.open.insert(comm.clone(), target_name);
        let replies = target.opened(&comm, data);
        self.tell(&comm, replies)
    }

    /// Hands a message to the target.
    pub fn message(&mut self, request: CommMsg) -> Vec<JupyterMessageContent> {
        let CommMsg {
            comm_id: CommId(comm),
            data,
        } = request;
        let Some(target) = self
            .open
            .get(&comm)
            .and_then(|name| self.targets.get_mut(name))
        else {
            warning(format_args!("comm {comm:?} is not open"));
            return Vec::new();
        };
        let replies = target.received(&comm, data);
        self.tell(&comm, replies)
    }

    /// Forgets a comm that the front end has closed.
    pub fn close(&mut self, request: CommClose) {
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

    /// The open comms, to one target or to all.
    pub fn info(&self, target_name: Option<&str>) -> CommInfoReply {
        let comms = self
            .open
            .iter()
            .filter(|(_, target)| target_name.is_none_or(|wanted| wanted == *target))
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

    fn tell(&mut self, comm: &str, replies: Vec<CommReply>) -> Vec<JupyterMessageContent> {
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
