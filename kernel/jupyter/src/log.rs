//! Warnings of the kernel.
//!
//! Everything else that the kernel logs are plain `tracing` events, shown if `OFFMODEL_LOG` asks
//! for them: messages by channel, type and id, cells by their number. No event carries code,
//! outputs, input or the text of an error in a message's content, which may quote any of these.

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
