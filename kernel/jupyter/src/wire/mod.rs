//! Between bytes on a socket and what the handlers work with.
//!
//! Messages are typed by `jupyter-protocol`. Where its types are stricter than the front ends
//! in use, [`defaults`] fills in what those leave out: lenient when reading, strict when
//! writing.

pub(crate) mod defaults;
pub(crate) mod incoming;
pub(crate) mod outgoing;
pub(crate) mod outputs;
pub(crate) mod position;
