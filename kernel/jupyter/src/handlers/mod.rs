//! One module for each group of requests.

pub(crate) mod comms;
pub(crate) mod control;
pub(crate) mod execute;
mod frontend;
mod history;
mod kernel_info;
pub(crate) mod shell;
