//! `offmodel build`.

use std::path::Path;

use offmodel_program::{Build, Cache, Notebook, build as build_folder};
use offmodel_toolchain::Toolchain;
use serde::Serialize;

use super::BuildArguments;
use super::output::{Format, Output, VERSION, print};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::terminal::{errln, outln};

#[derive(Debug, Serialize)]
struct BuiltFolder<'a> {
    version: u32,
    command: &'static str,
    folder: &'a Path,
    build: Build,
}

/// Builds a folder that runs a notebook on a machine without Rust.
pub(super) fn build(arguments: &BuildArguments) -> Result<ExitCode, RunnerError> {
    let notebook = Notebook::read(&arguments.notebook)?;
    // Reports errors in the parameters before anything is copied.
    notebook.parameters()?;
    let toolchain = Toolchain::locate()?;
    let cache = Cache::of_user().ok_or(RunnerError::NoCache)?;
    let runner = std::env::current_exe().map_err(|error| RunnerError::Read {
        path: "offmodel".into(),
        reason: error.to_string(),
    })?;
    let build = build_folder(
        &notebook,
        &toolchain,
        &cache,
        &runner,
        &arguments.with,
        &arguments.output,
    )?;
    let built = BuiltFolder {
        version: VERSION,
        command: "build",
        folder: &arguments.output,
        build,
    };
    print(&built, Format::from_flag(arguments.json))?;
    Ok(ExitCode::Success)
}

impl Output for BuiltFolder<'_> {
    fn print_text(&self) {
        outln!("{}", self.folder.join("run").display());
        errln!(
            "needs from the machine it runs on: {}",
            self.build.system.join(", ")
        );
    }
}
