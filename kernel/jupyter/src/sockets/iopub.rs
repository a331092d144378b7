//! The [IOPub](https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-iopub-pub-sub-channel)
//! socket, which publishes outputs and status to all front ends in one order.
//!
//! One task owns the socket. The channel to it is bounded, so that a cell which writes faster
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
use crate::wire::outgoing::{log_sent, publication};

/// Messages between the running cell and the socket.
const CHANNEL_CAPACITY: usize = 64;
/// Texts of one stream that follow each other within this time are sent as one message, because
/// Jupyter Server drops outputs of kernels that send more than 1,000 messages a second.
const STREAM_FLUSH_INTERVAL: Duration = Duration::from_millis(25);
/// A buffered text of this length is sent at once.
const MAX_BUFFERED_BYTES: usize = 64 * 1024;
/// A subscriber that has not read for this long is disconnected, so that the others get theirs.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long disconnected subscribers get to reconnect; ZeroMQ tries after 100 ms.
const RECONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// Sends to the task that owns the socket. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct IoPub(mpsc::Sender<Outgoing>);

#[derive(Debug)]
enum Outgoing {
    Message(Box<JupyterMessage>),
    Flush(oneshot::Sender<()>),
}

impl IoPub {
    /// Publishes a message; `parent` is the request that led to it.
    pub(crate) async fn publish(
        &self,
        parent: Option<&JupyterMessage>,
        content: impl Into<JupyterMessageContent>,
    ) {
        let message = Box::new(publication(parent, content));
        // Fails only while the kernel shuts down, when the task has been aborted.
        let _ = self.0.send(Outgoing::Message(message)).await;
    }

    /// Publishes a message from a thread that may block.
    pub(crate) fn publish_blocking(
        &self,
        parent: &JupyterMessage,
        content: impl Into<JupyterMessageContent>,
    ) {
        let message = Box::new(publication(Some(parent), content));
        let _ = self.0.blocking_send(Outgoing::Message(message));
    }

    /// Publishes the [status](https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-status)
    /// `busy`: the kernel starts to handle `parent`.
    pub(crate) async fn busy(&self, parent: &JupyterMessage) {
        self.publish(Some(parent), Status::busy()).await;
    }

    /// Publishes the status `idle`: every message that follows from `parent` has been published.
    pub(crate) async fn idle(&self, parent: &JupyterMessage) {
        self.publish(Some(parent), Status::idle()).await;
    }

    /// Returns when every message published so far has been handed to the operating system.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.0.send(Outgoing::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }
}

/// Starts the task that owns the socket.
pub(crate) fn open(mut connection: KernelIoPubXPubConnection) -> (IoPub, JoinHandle<()>) {
    let (sender, outgoing) = mpsc::channel(CHANNEL_CAPACITY);
    let mut monitor = connection.socket.monitor();
    let next_accepted = move || {
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
        next_accepted: Box::new(next_accepted),
        peers: Vec::new(),
        buffered: None,
    };
    (IoPub(sender), tokio::spawn(publisher.run(outgoing)))
}

struct Publisher {
    connection: KernelIoPubXPubConnection,
    /// Returns the connections accepted since the last call, one by one.
    next_accepted: Box<dyn FnMut() -> Option<PeerIdentity> + Send>,
    /// Every front end that has connected, gone or not.
    peers: Vec<PeerIdentity>,
    buffered: Option<BufferedStream>,
}

/// Text of one stream of one cell, to which text that follows soon is appended.
struct BufferedStream {
    message: Box<JupyterMessage>,
    flush_at: Instant,
}

impl Publisher {
    async fn run(mut self, mut outgoing: mpsc::Receiver<Outgoing>) {
        loop {
            let flush_at = self.buffered.as_ref().map(|buffered| buffered.flush_at);
            tokio::select! {
                subscription = self.connection.recv_subscription() => {
                    self.record_peers();
                    // The socket itself handles unsubscriptions and broken connections.
                    if let Ok(SubscriptionEvent::Subscribe(topic)) = subscription {
                        self.welcome(topic).await;
                    }
                }
                next = outgoing.recv() => match next {
                    Some(Outgoing::Message(message)) => self.buffer_or_send(message).await,
                    Some(Outgoing::Flush(done)) => {
                        self.send_buffered().await;
                        // Fails if the caller of `flush` has been cancelled.
                        let _ = done.send(());
                    }
                    None => return self.send_buffered().await,
                },
                () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => {
                    self.send_buffered().await;
                }
            }
        }
    }

    /// Sends the `iopub_welcome` of [JEP 65](https://github.com/jupyter/enhancement-proposals/blob/master/65-jupyter-xpub/jupyter-xpub.md),
    /// from which a new subscriber knows that it receives every later message.
    async fn welcome(&mut self, topic: String) {
        let topic_frame = topic.clone().into();
        let message = publication(None, IoPubWelcome::new(topic));
        self.send(message.with_zmq_identities(vec![topic_frame]))
            .await;
    }

    async fn buffer_or_send(&mut self, message: Box<JupyterMessage>) {
        if let Some(buffered) = &mut self.buffered
            && append(&mut buffered.message, &message)
        {
            if text_length(&buffered.message) >= MAX_BUFFERED_BYTES {
                self.send_buffered().await;
            }
            return;
        }
        self.send_buffered().await;
        if (1..MAX_BUFFERED_BYTES).contains(&text_length(&message)) {
            self.buffered = Some(BufferedStream {
                message,
                flush_at: Instant::now() + STREAM_FLUSH_INTERVAL,
            });
        } else {
            self.send(*message).await;
        }
    }

    async fn send_buffered(&mut self) {
        if let Some(buffered) = self.buffered.take() {
            self.send(*buffered.message).await;
        }
    }

    async fn send(&mut self, message: JupyterMessage) {
        log_sent("iopub", &message);
        match timeout(SEND_TIMEOUT, self.connection.send(message.clone())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warning(format_args!("failed to publish on iopub: {error}")),
            Err(_) => {
                self.disconnect_all().await;
                // A front end that has not reconnected by now misses the message.
                let _ = timeout(SEND_TIMEOUT, self.connection.send(message)).await;
            }
        }
    }

    /// Disconnects a subscriber that does not read, and with it all others: the socket does not
    /// say which one blocks it. Those that are alive reconnect by themselves.
    async fn disconnect_all(&mut self) {
        warning("a front end does not read iopub: all front ends are disconnected, to reconnect");
        self.record_peers();
        let backend = self.connection.socket.backend();
        for peer in self.peers.drain(..) {
            backend.peer_disconnected(&peer);
        }
        let deadline = Instant::now() + RECONNECT_TIMEOUT;
        // The socket registers a subscription only while it receives.
        while timeout_at(deadline, self.connection.recv_subscription())
            .await
            .is_ok()
        {}
    }

    fn record_peers(&mut self) {
        while let Some(peer) = (self.next_accepted)() {
            self.peers.push(peer);
        }
    }
}

/// Appends the text of `next` to `message` if both are of the same stream and cell; returns
/// whether they are.
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

/// The length in bytes of a `stream` message's text; 0 for all other messages.
fn text_length(message: &JupyterMessage) -> usize {
    match &message.content {
        JupyterMessageContent::StreamContent(stream) => stream.text.len(),
        _ => 0,
    }
}
