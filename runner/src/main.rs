//! The command `offmodel`.

use clap::Parser;
use offmodel_runner::command::Arguments;

fn main() -> std::process::ExitCode {
    let ended = offmodel_runner::command::run(Arguments::parse());
    let code = ended.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit_code()
    });
    code.into()
}
