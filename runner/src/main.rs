//! The command `offmodel`.

use std::io::Write;

use clap::Parser;
use offmodel_runner::cli::Arguments;

fn main() -> std::process::ExitCode {
    let ended = offmodel_runner::cli::run(Arguments::parse());
    let code = ended.unwrap_or_else(|error| {
        // The exit code counts, also where nobody reads.
        let _ = writeln!(std::io::stderr(), "error: {error}");
        error.exit_code()
    });
    code.into()
}
