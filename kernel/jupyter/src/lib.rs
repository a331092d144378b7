//! The Jupyter messaging protocol, for any language.
//!
//! A front end (JupyterLab, VS Code, `jupyter console`, nbclient) talks to a kernel over five
//! ZeroMQ sockets. This crate owns them, keeps the order and the promises of the
//! [protocol](https://jupyter-client.readthedocs.io/en/stable/messaging.html), and asks a
//! [`Language`] to do what is left: run a cell, complete a name. It knows no Rust; the binary
//! `offmodel-kernel` joins it to the live session.
//!
//! ```text
//! sockets::heartbeat   echo
//! sockets::requests    shell   ──> handlers::shell   ──> language_thread (blocking, one thread)
//!                      control ──> handlers::control ──> interrupts ──────^        │
//! sockets::stdin       <──────────────────────────────── input ─────────────────── │
//! sockets::iopub       <──────────────────────────────── events ───────────────────┘
//! ```
//!
//! - [`connection`]: the connection file and the bound sockets;
//! - `wire`: messages to and from what the handlers work with (typed by `jupyter-protocol`);
//! - `sockets`: one task per socket, channels between them and everything else;
//! - `handlers`: what each request means;
//! - [`language`]: what a language has to offer;
//! - `language_thread`, `interrupts`: the thread that runs it, and how a cell is stopped;
//! - [`Kernel`]: all of it together.

pub mod connection;
mod handlers;
mod interrupts;
mod kernel;
pub mod language;
mod language_thread;
mod log;
mod sockets;
mod wire;

pub use connection::{ConnectionError, read_connection_file};
pub use handlers::comms::{CommData, CommReply, CommTarget, CommTargets};
pub use jupyter_protocol::ConnectionInfo;
pub use kernel::{Ending, Kernel, KernelHandle};
pub use language::Language;
