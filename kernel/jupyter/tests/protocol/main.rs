//! The messaging protocol over real sockets: a kernel with a [dummy language](dummy_language) and a
//! [front end](frontend) that fails the test at every message it does not expect.

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
mod log;
mod stdin;
