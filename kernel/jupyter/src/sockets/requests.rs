//! A socket that receives requests and sends replies: shell or control.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jupyter_protocol::JupyterMessage;
use jupyter_zmq_client::{Connection, RouterRecvConnection, RouterSendConnection};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeromq::RouterSocket;

use crate::log::warning;
use crate::wire::incoming::{IncomingMessage, ReceiveError, receive};
use crate::wire::outgoing::log_sent;

/// A request with its place in the order in which its socket received them.
#[derive(Debug)]
pub(crate) struct Request {
    /// Counts the requests of the socket from 1.
    pub sequence: u64,
    pub message: Arc<JupyterMessage>,
    /// Why the message's content could not be parsed, if it could not.
    pub parse_error: Option<String>,
}

/// Counts the requests that a socket has received, handled or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestCounter(Arc<AtomicU64>);

impl RequestCounter {
    /// The [sequence number](Request::sequence) of the latest request; 0 before the first.
    pub(crate) fn latest(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// The queue of received requests that are yet to be handled.
#[derive(Debug)]
pub(crate) struct Requests {
    queue: mpsc::UnboundedReceiver<Request>,
    /// Counts the requests in the queue too.
    pub counter: RequestCounter,
}

impl Requests {
    /// Waits for the next request; none once the kernel shuts down.
    pub(crate) async fn next(&mut self) -> Option<Request> {
        self.queue.recv().await
    }
}

/// Sends replies to the front ends that sent the requests.
pub(crate) struct Replies {
    channel: &'static str,
    connection: RouterSendConnection,
}

impl Replies {
    /// Sends a reply. A front end that has disconnected since is worth no more than a warning.
    pub(crate) async fn send(&mut self, message: JupyterMessage) {
        log_sent(self.channel, &message);
        let message_type = message.message_type().to_owned();
        if let Err(error) = self.connection.send(message).await {
            warning(format_args!(
                "failed to send {message_type} on {}: {error}",
                self.channel
            ));
        }
    }
}

/// Starts the task that receives requests.
///
/// It takes them off the socket at once, however long earlier ones are handled, so that the
/// [counter](RequestCounter) says at any time which requests are already waiting.
pub(crate) fn listen(
    channel: &'static str,
    connection: Connection<RouterSocket>,
) -> (Requests, Replies, JoinHandle<()>) {
    let (connection, receiver) = connection.split();
    let (sender, queue) = mpsc::unbounded_channel();
    let counter = RequestCounter::default();
    let task = tokio::spawn(forward(channel, receiver, sender, counter.clone()));
    (
        Requests { queue, counter },
        Replies {
            channel,
            connection,
        },
        task,
    )
}

async fn forward(
    channel: &'static str,
    mut receiver: RouterRecvConnection,
    queue: mpsc::UnboundedSender<Request>,
    counter: RequestCounter,
) {
    loop {
        match receive(channel, &mut receiver).await {
            Ok(IncomingMessage {
                message,
                parse_error,
            }) => {
                let request = Request {
                    sequence: counter.next(),
                    message: Arc::new(message),
                    parse_error,
                };
                if queue.send(request).is_err() {
                    return;
                }
            }
            Err(error @ ReceiveError::Dropped(_)) => warning(format_args!("{channel}: {error}")),
            Err(error @ ReceiveError::Closed(_)) => {
                warning(format_args!("{channel}: {error}"));
                return;
            }
        }
    }
}
