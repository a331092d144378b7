//! One task per socket; channels between them and everything else.

pub(crate) mod heartbeat;
pub(crate) mod iopub;
pub(crate) mod requests;
pub(crate) mod stdin;
