//! The [heartbeat](https://jupyter-client.readthedocs.io/en/stable/messaging.html#heartbeat-for-kernels)
//! socket, which echoes every message so that front ends see whether the kernel is alive.

use tokio::task::JoinHandle;
use zeromq::{RepSocket, SocketRecv, SocketSend, ZmqError};

/// Starts the task that echoes until the kernel shuts down.
pub(crate) fn listen(mut socket: RepSocket) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            match socket.recv().await {
                // Fails if the front end has disconnected, which then needs no echo.
                Ok(message) => drop(socket.send(message).await),
                Err(ZmqError::NoMessage) => return,
                // A broken message or connection of one front end must not stop the heartbeat for
                // the others.
                Err(_) => {}
            }
        }
    })
}
