//! A socket for requests and their replies: shell and control.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jupyter_protocol::JupyterMessage;
use jupyter_zmq_client::{Connection, RouterRecvConnection, RouterSendConnection};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeromq::RouterSocket;

use crate::log::warning;
use crate::wire::incoming::{ReceiveError, Received, receive};

/// A request in the order of arrival.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Counts the requests of the socket from 1.
    pub number: u64,
    /// The request.
    pub message: Arc<JupyterMessage>,
    /// Why it could not be understood, if so.
    pub problem: Option<String>,
}

/// How many requests have arrived, handled or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct ArrivalCount(Arc<AtomicU64>);

impl ArrivalCount {
    /// The number of the latest arrival.
    pub fn latest(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// Requests that have arrived and wait to be handled.
#[derive(Debug)]
pub(crate) struct Requests {
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    /// Includes those still waiting.
    pub count: ArrivalCount,
}

impl Requests {
    /// The next one; none once the kernel ends.
    pub async fn next(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }
}

/// The way back to whoever sent a request.
pub(crate) struct Replies {
    channel: &'static str,
    connection: RouterSendConnection,
}

impl Replies {
    /// Sends a reply; that its addressee has gone is only worth a note.
    pub async fn send(&mut self, message: JupyterMessage) {
        let message_type = message.message_type().to_owned();
        if let Err(error) = self.connection.send(message).await {
            warning(format_args!(
                "failed to send {message_type} on {}: {error}",
                self.channel
            ));
        }
    }
}

/// Starts to receive. Requests are taken off the socket at once, however long earlier ones take:
/// it is known at any time which ones are waiting.
pub(crate) fn listen(
    channel: &'static str,
    connection: Connection<RouterSocket>,
) -> (Requests, Replies, JoinHandle<()>) {
    let (connection, receiver) = connection.split();
    let (sender, arrivals) = mpsc::unbounded_channel();
    let count = ArrivalCount::default();
    let task = tokio::spawn(forward(channel, receiver, sender, count.clone()));
    (
        Requests { arrivals, count },
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
    sender: mpsc::UnboundedSender<Arrival>,
    count: ArrivalCount,
) {
    loop {
        match receive(&mut receiver).await {
            Ok(Received { message, problem }) => {
                let number = count.next();
                let arrival = Arrival {
                    number,
                    message: Arc::new(message),
                    problem,
                };
                if sender.send(arrival).is_err() {
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
