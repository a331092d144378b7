//! `offmodel-setup`: prepares this machine, then builds, runs the demo, or runs every check.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use offmodel_setup::workspace::Workspace;
use offmodel_setup::{demo, setup, verify};

/// Prepares this machine for offmodel: libtorch, the default model and the Jupyter kernel.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to do after set-up [default: build the workspace].
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Prepare the machine, without building.
    Prepare,
    /// Build, train and score the default model, reproduce the published figures, write a report.
    Demo,
    /// Run every check: format, spelling, dependencies, lints, tests.
    Verify,
}

fn main() -> ExitCode {
    let workspace = Workspace::of_this_build();
    let command = Arguments::parse().command;
    let result = setup::run(&workspace).and_then(|()| match command {
        None => workspace.build().map(|()| ExitCode::SUCCESS),
        Some(Command::Prepare) => Ok(ExitCode::SUCCESS),
        Some(Command::Demo) => demo::run(&workspace).map(|()| ExitCode::SUCCESS),
        Some(Command::Verify) => verify::run(&workspace),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
