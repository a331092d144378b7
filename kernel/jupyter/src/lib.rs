//! The Jupyter messaging protocol, for any language.
//!
//! A front end (JupyterLab, VS Code, `jupyter console`, nbclient) talks to a kernel over five
//! ZeroMQ sockets. This crate owns the sockets, keeps the message order that the
//! [protocol](https://jupyter-client.readthedocs.io/en/stable/messaging.html) prescribes, and calls
//! a [`Language`] for the rest: to run a cell, to complete a name. It does not depend on Rust as the
//! language of the cells; the binary `offmodel-kernel` joins it to the live session.
//!
//! ```text
//! sockets::heartbeat   echo
//! sockets::requests    shell   ──> handlers::shell   ──> language_thread (blocking, one thread)
//!                      control ──> handlers::control ──> interrupts ──────^        │
//! sockets::stdin       <──────────────────────────────── input ─────────────────── │
//! sockets::iopub       <──────────────────────────────── events ───────────────────┘
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | [`connection`] | the connection file, and the sockets bound as it says |
//! | `wire` | parses and builds messages, which `jupyter-protocol` types |
//! | `sockets` | one task for each socket |
//! | `handlers` | one module for each group of requests |
//! | [`language`] | the interface that a language implements |
//! | `language_thread`, `interrupts` | the thread that runs the language; interrupting it |
//! | `log` | warnings |
//! | [`Kernel`] | start and shutdown of all of these |

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
pub use kernel::{Kernel, KernelHandle, Shutdown};
pub use language::Language;
