//! `offmodel-setup`: prepares this machine, runs the demo, or runs every check.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use offmodel_setup::workspace::Workspace;
use offmodel_setup::{demo, setup, verify};

/// Prepares this machine for offmodel: libtorch, the default model and the Jupyter kernel.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to do after set-up; without it, the workspace is built.
    #[command(subcommand)]
    then: Option<Then>,
}

#[derive(Subcommand)]
enum Then {
    /// Nothing more: prepare the machine without building.
    Prepare,
    /// Build, train and score the default model, reproduce the published figures, write the report.
    Demo,
    /// Check the format, lint, and run all tests.
    Verify,
}

fn main() -> ExitCode {
    let workspace = Workspace::of_this_build();
    let then = Arguments::parse().then;
    let outcome = setup::run(&workspace).and_then(|()| match then {
        None => workspace.build(),
        Some(Then::Prepare) => Ok(()),
        Some(Then::Demo) => demo::run(&workspace),
        Some(Then::Verify) => verify::run(&workspace),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
