use offmodel_program::{Cache, Notebook, build as build_folder};
use offmodel_toolchain::Toolchain;
use serde_json::json;

use super::BuildArguments;
use super::json::VERSION;
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::terminal::{errln, outln};

/// Builds a folder that runs a notebook on a machine without Rust.
pub(super) fn build(arguments: &BuildArguments) -> Result<ExitCode, RunnerError> {
    let notebook = Notebook::read(&arguments.notebook)?;
    // A mistake in the parameters is told before anything is copied.
    notebook.parameters()?;
    let toolchain = Toolchain::locate()?;
    let cache = Cache::of_user().ok_or(RunnerError::NoCache)?;
    let runner = std::env::current_exe().map_err(|error| RunnerError::Read {
        path: "offmodel".into(),
        reason: error.to_string(),
    })?;
    let built = build_folder(
        &notebook,
        &toolchain,
        &cache,
        &runner,
        &arguments.with,
        &arguments.output,
    )?;
    if arguments.json {
        let told = json!({ "version": VERSION, "command": "build", "folder": arguments.output, "build": built });
        outln!("{told:#}");
        return Ok(ExitCode::Success);
    }
    outln!("{}", arguments.output.join("run").display());
    errln!(
        "needs from the machine it runs on: {}",
        built.system.join(", ")
    );
    Ok(ExitCode::Success)
}
