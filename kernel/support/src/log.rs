//! The log of the kernel and the runner: `tracing` events on standard error, off by default.
//!
//! `OFFMODEL_LOG=debug` shows everything, `OFFMODEL_LOG=offmodel_runner::executor=debug` one module.
//! No event carries the text of cells, prompts or responses, nor the value of an environment
//! variable, so that a log can be sent with a bug report.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::environment;

/// Starts the log if `OFFMODEL_LOG` is set; call once, first thing in `main`.
///
/// A filter that cannot be parsed is reported on standard error, and nothing is logged.
pub fn initialize() {
    let Some(filter) = environment::value(environment::LOG) else {
        return;
    };
    let filter = match EnvFilter::try_new(filter.to_string_lossy()) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("warning: {} is no filter: {error}", environment::LOG);
            return;
        }
    };
    // Fails only if a log exists already, which then stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}
