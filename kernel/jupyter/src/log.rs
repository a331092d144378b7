//! Warnings of the kernel.
//!
//! Everything else in the log is a plain `tracing` event, which `OFFMODEL_LOG` turns on: messages with
//! channel, type and id, cells with their number. No event carries code, outputs or input, nor the
//! parser's message about malformed content, which may quote them.

use std::fmt::Display;

/// Reports a problem that belongs to no cell and does not end the kernel.
///
/// A warning reaches standard error also where `OFFMODEL_LOG` is unset, because front ends keep a
/// kernel's standard error for their users to look into.
pub(crate) fn warning(message: impl Display) {
    if tracing::enabled!(tracing::Level::WARN) {
        tracing::warn!("{message}");
    } else {
        eprintln!("offmodel-kernel: {message}");
    }
}
