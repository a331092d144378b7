//! The command `offmodel`.

use std::io::Write;

use clap::Parser;
use offmodel_runner::cli::{Arguments, run};

fn main() -> std::process::ExitCode {
    offmodel_support::log::initialize();
    let code = run(Arguments::parse()).unwrap_or_else(|error| {
        // Not `eprintln!`, which panics if standard error is closed: the exit code must still be that
        // of the error.
        let _ = writeln!(std::io::stderr(), "error: {error}");
        error.exit_code()
    });
    code.into()
}
