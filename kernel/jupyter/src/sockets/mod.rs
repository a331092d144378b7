//! The five sockets: one task owns each, and channels connect it to the rest of the kernel.

pub(crate) mod heartbeat;
pub(crate) mod iopub;
pub(crate) mod requests;
pub(crate) mod stdin;
