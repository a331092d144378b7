//! The protocol as a front end sees it: a kernel with a small language of our own, and a front
//! end that fails on every message it was not told to expect, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on may panic"
)]

mod comms;
mod dummy_language;
mod execution;
mod faults;
mod frontend;
mod introspection;
mod lifetime;
mod stdin;
