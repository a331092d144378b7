//! The [IOPub](https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-iopub-pub-sub-channel)
//! socket: what everybody is told, in one order.
//!
//! One task owns the socket. A bounded channel leads to it, so that a cell which writes faster
//! than front ends read is slowed down instead of filling the memory.

use std::time::Duration;

use jupyter_protocol::{
    IoPubWelcome, JupyterMessage, JupyterMessageContent, Status, StreamContent,
};
use jupyter_zmq_client::{KernelIoPubXPubConnection, PeerIdentity, SubscriptionEvent};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use zeromq::{Socket, SocketEvent};

use crate::log::warning;
use crate::wire::outgoing::publication;

/// Messages under way between the cell and the socket.
const CAPACITY: usize = 64;
/// Texts of a stream that follow each other within this time leave as one message: Jupyter
/// Server drops the output of kernels that send more than 1,000 messages a second.
const GATHER: Duration = Duration::from_millis(25);
/// A gathered text longer than this leaves at once.
const GATHER_BYTES: usize = 64 * 1024;
/// How long a subscriber that does not read may hold up the others.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long disconnected subscribers are given to come back: ZeroMQ tries after 100 ms.
const RECONNECTION: Duration = Duration::from_millis(500);

/// A way to the socket. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct IoPub(mpsc::Sender<Outgoing>);

#[derive(Debug)]
enum Outgoing {
    Message(Box<JupyterMessage>),
    Flush(oneshot::Sender<()>),
}

impl IoPub {
    /// Tells everybody; `parent` is the request that led to it.
    pub async fn publish(
        &self,
        parent: Option<&JupyterMessage>,
        content: impl Into<JupyterMessageContent>,
    ) {
        let message = Box::new(publication(parent, content));
        // The receiver lives as long as the kernel: without it, there is nobody to tell.
        let _ = self.0.send(Outgoing::Message(message)).await;
    }

    /// The same from a thread that may wait.
    pub fn publish_blocking(
        &self,
        parent: &JupyterMessage,
        content: impl Into<JupyterMessageContent>,
    ) {
        let message = Box::new(publication(Some(parent), content));
        let _ = self.0.blocking_send(Outgoing::Message(message));
    }

    /// Tells that the kernel works on `parent`.
    pub async fn busy(&self, parent: &JupyterMessage) {
        self.publish(Some(parent), Status::busy()).await;
    }

    /// Tells that everything which follows from `parent` has been sent.
    pub async fn idle(&self, parent: &JupyterMessage) {
        self.publish(Some(parent), Status::idle()).await;
    }

    /// Returns when everything so far has been handed to the system.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.0.send(Outgoing::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }
}

/// Starts the task that owns the socket.
pub(crate) fn open(mut connection: KernelIoPubXPubConnection) -> (IoPub, JoinHandle<()>) {
    let (sender, outgoing) = mpsc::channel(CAPACITY);
    let mut monitor = connection.socket.monitor();
    let next_peer = move || {
        loop {
            match monitor.try_recv() {
                Ok(SocketEvent::Accepted(_, peer)) => return Some(peer),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    };
    let publisher = Publisher {
        connection,
        next_peer: Box::new(next_peer),
        peers: Vec::new(),
        gathered: None,
    };
    (IoPub(sender), tokio::spawn(publisher.run(outgoing)))
}

struct Publisher {
    connection: KernelIoPubXPubConnection,
    /// The next connection that was accepted since it was last asked.
    next_peer: Box<dyn FnMut() -> Option<PeerIdentity> + Send>,
    /// Everybody who ever connected.
    peers: Vec<PeerIdentity>,
    gathered: Option<Gathered>,
}

/// Text of one stream of one cell that waits for more of it.
struct Gathered {
    message: Box<JupyterMessage>,
    due: Instant,
}

impl Publisher {
    async fn run(mut self, mut outgoing: mpsc::Receiver<Outgoing>) {
        loop {
            let due = self.gathered.as_ref().map(|gathered| gathered.due);
            tokio::select! {
                subscription = self.connection.recv_subscription() => {
                    self.note_peers();
                    // Of unsubscriptions and broken connections the socket takes care itself.
                    if let Ok(SubscriptionEvent::Subscribe(topic)) = subscription {
                        self.welcome(topic).await;
                    }
                }
                next = outgoing.recv() => match next {
                    Some(Outgoing::Message(message)) => self.take(message).await,
                    Some(Outgoing::Flush(done)) => {
                        self.send_gathered().await;
                        // Nobody waits any more: just as well.
                        let _ = done.send(());
                    }
                    None => return self.send_gathered().await,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.send_gathered().await;
                }
            }
        }
    }

    /// [JEP 65](https://github.com/jupyter/enhancement-proposals/blob/master/65-jupyter-xpub/jupyter-xpub.md):
    /// tells a subscriber that it will miss nothing from here on.
    async fn welcome(&mut self, topic: String) {
        let topic_frame = topic.clone().into();
        let message = publication(None, IoPubWelcome::new(topic));
        self.send(message.with_zmq_identities(vec![topic_frame]))
            .await;
    }

    async fn take(&mut self, message: Box<JupyterMessage>) {
        if let Some(gathered) = &mut self.gathered
            && append(&mut gathered.message, &message)
        {
            if text_length(&gathered.message) >= GATHER_BYTES {
                self.send_gathered().await;
            }
            return;
        }
        self.send_gathered().await;
        if (1..GATHER_BYTES).contains(&text_length(&message)) {
            self.gathered = Some(Gathered {
                message,
                due: Instant::now() + GATHER,
            });
        } else {
            self.send(*message).await;
        }
    }

    async fn send_gathered(&mut self) {
        if let Some(gathered) = self.gathered.take() {
            self.send(*gathered.message).await;
        }
    }

    async fn send(&mut self, message: JupyterMessage) {
        match timeout(PATIENCE, self.connection.send(message.clone())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warning(format_args!("failed to publish on iopub: {error}")),
            Err(_) => {
                self.disconnect_all().await;
                // Whom it does not reach now is not there.
                let _ = timeout(PATIENCE, self.connection.send(message)).await;
            }
        }
    }

    /// Gets rid of a subscriber that holds up the others. The socket does not say which one it
    /// is: all are disconnected, and those that are alive come back by themselves.
    async fn disconnect_all(&mut self) {
        warning("a front end does not read iopub: all are asked to connect again");
        self.note_peers();
        let backend = self.connection.socket.backend();
        for peer in self.peers.drain(..) {
            backend.peer_disconnected(&peer);
        }
        let end = Instant::now() + RECONNECTION;
        // Receiving is what makes the socket take note of a subscription.
        while timeout_at(end, self.connection.recv_subscription())
            .await
            .is_ok()
        {}
    }

    fn note_peers(&mut self) {
        while let Some(peer) = (self.next_peer)() {
            self.peers.push(peer);
        }
    }
}

/// Adds the text of `next` to `message` if both are of one stream and one cell.
fn append(message: &mut JupyterMessage, next: &JupyterMessage) -> bool {
    let parent = |message: &JupyterMessage| {
        message
            .parent_header
            .as_ref()
            .map(|header| header.msg_id.clone())
    };
    if parent(message) != parent(next) {
        return false;
    }
    let JupyterMessageContent::StreamContent(StreamContent {
        name: next_name,
        text: next_text,
    }) = &next.content
    else {
        return false;
    };
    match &mut message.content {
        JupyterMessageContent::StreamContent(StreamContent { name, text })
            if std::mem::discriminant(name) == std::mem::discriminant(next_name) =>
        {
            text.push_str(next_text);
            true
        }
        _ => false,
    }
}

/// The length in bytes of a stream's text; 0 for all other messages.
fn text_length(message: &JupyterMessage) -> usize {
    match &message.content {
        JupyterMessageContent::StreamContent(stream) => stream.text.len(),
        _ => 0,
    }
}
