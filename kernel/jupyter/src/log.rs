//! What the kernel says about itself: to standard error, which front ends keep as its log.

use std::fmt::Display;

/// Something went wrong that concerns no cell, and the kernel goes on.
pub(crate) fn warning(message: impl Display) {
    eprintln!("offmodel-kernel: {message}");
}
