//! The [heartbeat](https://jupyter-client.readthedocs.io/en/stable/messaging.html#heartbeat-for-kernels)
//! socket: sends back what it receives.

use tokio::task::JoinHandle;
use zeromq::{RepSocket, SocketRecv, SocketSend, ZmqError};

/// Echoes until the kernel ends.
pub(crate) fn listen(mut socket: RepSocket) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            match socket.recv().await {
                // A front end that has gone since needs no answer.
                Ok(message) => drop(socket.send(message).await),
                Err(ZmqError::NoMessage) => return,
                // One front end's broken message or connection is no reason to leave the others.
                Err(_) => {}
            }
        }
    })
}
