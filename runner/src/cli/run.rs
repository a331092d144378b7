//! `offmodel run`.

use std::path::{Path, PathBuf};

use offmodel_events::CellError;
use offmodel_events::batch::ExitStatus;
use offmodel_program::{Notebook, Program};
use offmodel_support::atomic_file;
use serde::Serialize;

use super::RunArguments;
use super::output::{Format, Output, VERSION, print};
use crate::assignment::{Assignment, from_command_line, with_defaults};
use crate::attempt_events::{EventSummary, read_events};
use crate::compilation::compile_notebook;
use crate::error::RunnerError;
use crate::executor::{AttemptOutput, collect_output, run_once};
use crate::exit_code::ExitCode;
use crate::progress::Progress;
use crate::runtime;
use crate::store::{FailureReason, Provenance, SpecRecord, check_writable, write_atomically};
use crate::terminal::{errln, outln};

/// A run of a notebook that ended, well or not.
#[derive(Debug, Serialize)]
struct RunResult<'a> {
    version: u32,
    command: &'static str,
    notebook: &'a Path,
    parameters: &'a Assignment,
    status: RunStatus,
    /// Cells that ran without an error, or with one that their tags allow.
    cells: usize,
    seconds: f64,
    files: &'a [PathBuf],
    /// Names of the recorded frames.
    frames: &'a [String],
    cause: Option<&'a FailureReason>,
    text: Option<String>,
    /// The error of the cell that failed.
    error: Option<&'a CellError>,
    exit_code: u8,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum RunStatus {
    Succeeded,
    Failed,
    Stopped,
}

/// Runs a notebook once.
pub(super) fn run(arguments: &RunArguments) -> Result<ExitCode, RunnerError> {
    let notebook = Notebook::read(&arguments.notebook)?;
    let parameters = notebook.parameters()?;
    let overrides = from_command_line(&parameters, &arguments.parameters)?;
    if let Some(path) = &arguments.output {
        check_output(path)?;
    }
    let program = compile_notebook(&notebook)?;
    let folder = temporary_folder()?;
    let all = with_defaults(&parameters, &overrides);
    let provenance = Provenance::collect(&notebook, &program);
    SpecRecord::new("run".to_owned(), 1, overrides.clone(), all, provenance)
        .write(folder.path())?;
    let (status, stopped) = run_program(&program, &notebook, folder.path())?;
    let output = collect_output(folder.path(), &status, &notebook, &parameters, &overrides)?;
    let files = match &arguments.output {
        Some(path) => publish(&output, folder.path(), path)?,
        None => Vec::new(),
    };
    let code = exit_code(&output, stopped);
    let result = RunResult {
        version: VERSION,
        command: "run",
        notebook: &notebook.path,
        parameters: &overrides,
        status: match code {
            ExitCode::Success => RunStatus::Succeeded,
            ExitCode::Interrupted => RunStatus::Stopped,
            _ => RunStatus::Failed,
        },
        cells: output.finished_cells,
        seconds: status.seconds,
        files: &files,
        frames: &output.frames,
        cause: output.failure.as_ref(),
        text: output.failure.as_ref().map(FailureReason::to_string),
        error: output.error.as_ref(),
        exit_code: code as u8,
    };
    print(&result, Format::from_flag(arguments.json))?;
    result.print_remarks();
    Ok(code)
}

fn exit_code(output: &AttemptOutput, stopped: bool) -> ExitCode {
    match &output.failure {
        None => ExitCode::Success,
        Some(_) if stopped => ExitCode::Interrupted,
        Some(FailureReason::Cell { .. }) => ExitCode::CellFailed,
        Some(_) => ExitCode::ProgramDied,
    }
}

/// Runs the program in `folder`. Returns its exit status, and whether the user stopped it.
fn run_program(
    program: &Program,
    notebook: &Notebook,
    folder: &Path,
) -> Result<(ExitStatus, bool), RunnerError> {
    let mut progress = Progress::new(notebook.executed_cells().count(), "cells");
    let events = folder.join("events.jsonl");
    let show_progress = || {
        let mut summary = EventSummary::default();
        // Before the first event, there is no file and nothing to show.
        if read_events(&events, |event| summary.add(&event)).is_ok() {
            progress.advance(summary.finished_cells);
        }
    };
    let ran = runtime::current_thread()?.block_on(run_once(
        &program.executable,
        notebook.folder(),
        folder,
        show_progress,
    ));
    progress.finish();
    Ok(ran?)
}

/// Checks that the output can be written, before the notebook is compiled.
fn check_output(path: &Path) -> Result<(), RunnerError> {
    if path.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::IsADirectory);
        return Err(RunnerError::Write {
            path: path.to_owned(),
            source,
        });
    }
    check_writable(atomic_file::parent(path))
}

fn temporary_folder() -> Result<tempfile::TempDir, RunnerError> {
    tempfile::Builder::new()
        .prefix("offmodel-run-")
        .tempdir()
        .map_err(|source| RunnerError::Write {
            path: std::env::temp_dir(),
            source,
        })
}

/// Writes the executed notebook to `path`, and the recorded frames beside it.
fn publish(
    output: &AttemptOutput,
    folder: &Path,
    path: &Path,
) -> Result<Vec<PathBuf>, RunnerError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut written = Vec::new();
    for name in &output.frames {
        let recorded = folder.join(format!("{name}.parquet"));
        let content = std::fs::read(&recorded).map_err(|error| RunnerError::Read {
            path: recorded,
            reason: error.to_string(),
        })?;
        let frame = path.with_file_name(format!("{stem}-{name}.parquet"));
        write_atomically(&frame, &content)?;
        written.push(frame);
    }
    write_atomically(path, output.notebook.as_bytes())?;
    written.insert(0, path.to_owned());
    Ok(written)
}

impl Output for RunResult<'_> {
    fn print_text(&self) {
        for path in self.files {
            outln!("{}", path.display());
        }
    }
}

impl RunResult<'_> {
    /// Prints to standard error how the run ended, with `--json` too.
    fn print_remarks(&self) {
        let Some(cause) = self.cause else {
            let plural = if self.cells == 1 { "cell" } else { "cells" };
            errln!(
                "{}: {} {plural} in {:.1} s",
                self.notebook.display(),
                self.cells,
                self.seconds
            );
            return;
        };
        errln!("error: {}, {cause}", self.notebook.display());
        let traceback = self.error.iter().flat_map(|error| {
            let repeats_message = |line: &&String| line.contains(&error.value);
            error
                .traceback
                .iter()
                .filter(move |line| !repeats_message(line))
        });
        for line in traceback {
            errln!("  {line}");
        }
    }
}
