//! Parses the bytes of a socket into messages, and builds the messages that the kernel sends.
//!
//! Messages are typed by `jupyter-protocol`. Where its types are stricter than the front ends in
//! use, [`defaults`] fills in the fields that those leave out: the kernel is lenient in what it
//! reads and strict in what it writes.

pub(crate) mod defaults;
pub(crate) mod incoming;
pub(crate) mod outgoing;
pub(crate) mod outputs;
pub(crate) mod position;
