use std::path::{Path, PathBuf};

use offmodel_events::CellError;
use offmodel_program::{Notebook, Program};

use serde::Serialize;

use super::RunArguments;
use super::json::{VERSION, print_json};
use crate::assignment::{Assignment, from_command_line, with_defaults};
use crate::attempt_events::{EventSummary, read_events};
use crate::compilation::compile_notebook;
use crate::error::RunnerError;
use crate::executor::{AttemptOutput, collect_output, run_once};
use crate::exit_code::ExitCode;
use crate::progress::Progress;
use crate::store::{FailureReason, Provenance, SpecRecord, check_writable, write_atomically};
use crate::terminal::{errln, outln};

/// Executes a notebook once.
pub(super) fn run(arguments: &RunArguments) -> Result<ExitCode, RunnerError> {
    let notebook = Notebook::read(&arguments.notebook)?;
    let parameters = notebook.parameters()?;
    let given = from_command_line(&parameters, &arguments.parameters)?;
    if let Some(output) = &arguments.output {
        check_output(output)?;
    }
    let program = compile_notebook(&notebook)?;
    let folder = workplace()?;
    let all = with_defaults(&parameters, &given);
    let provenance = Provenance::collect(&notebook, &program);
    SpecRecord::new("run".to_owned(), 1, given.clone(), all, provenance).write(folder.path())?;
    let (ending, stopped) = run_program(&program, &notebook, folder.path())?;
    let executed = collect_output(folder.path(), &ending, &notebook, &parameters, &given)?;
    let written = match &arguments.output {
        Some(output) => publish(&executed, folder.path(), output)?,
        None => Vec::new(),
    };
    let code = exit_code(&executed, stopped);
    if arguments.json {
        print_json(&RunDocument::new(
            &notebook,
            &given,
            &executed,
            &written,
            ending.seconds,
            code,
        ))?;
    } else {
        for path in &written {
            outln!("{}", path.display());
        }
    }
    conclude(&notebook, &executed, ending.seconds);
    Ok(code)
}

/// What `run --json` prints.
#[derive(Debug, Serialize)]
struct RunDocument<'a> {
    version: u32,
    command: &'static str,
    notebook: &'a Path,
    parameters: &'a Assignment,
    /// `succeeded`, `failed` or `stopped`.
    status: &'static str,
    /// Cells that ended well, or may fail.
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

impl<'a> RunDocument<'a> {
    fn new(
        notebook: &'a Notebook,
        given: &'a Assignment,
        executed: &'a AttemptOutput,
        written: &'a [PathBuf],
        seconds: f64,
        code: ExitCode,
    ) -> Self {
        Self {
            version: VERSION,
            command: "run",
            notebook: &notebook.path,
            parameters: given,
            status: match code {
                ExitCode::Success => "succeeded",
                ExitCode::Interrupted => "stopped",
                _ => "failed",
            },
            cells: executed.finished_cells,
            seconds,
            files: written,
            frames: &executed.frames,
            cause: executed.failure.as_ref(),
            text: executed.failure.as_ref().map(FailureReason::to_string),
            error: executed.error.as_ref(),
            exit_code: code as u8,
        }
    }
}

fn exit_code(executed: &AttemptOutput, stopped: bool) -> ExitCode {
    match &executed.failure {
        None => ExitCode::Success,
        Some(_) if stopped => ExitCode::Interrupted,
        Some(FailureReason::Cell { .. }) => ExitCode::CellFailed,
        Some(_) => ExitCode::ProgramDied,
    }
}

fn run_program(
    program: &Program,
    notebook: &Notebook,
    folder: &Path,
) -> Result<(offmodel_events::batch::ExitStatus, bool), RunnerError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| RunnerError::Runtime { source })?;
    let mut progress = Progress::new(notebook.executed_cells().count(), "cells");
    let events = folder.join("events.jsonl");
    let ran = runtime.block_on(run_once(
        &program.executable,
        notebook.folder(),
        folder,
        || {
            let mut trace = EventSummary::default();
            // Not there yet: nothing to show.
            if read_events(&events, |event| trace.add(&event)).is_ok() {
                progress.advance(trace.finished_cells);
            }
        },
    ));
    progress.finish();
    Ok(ran?)
}

/// The folder of an output must take files, and the output must not be a folder.
fn check_output(output: &Path) -> Result<(), RunnerError> {
    if output.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::IsADirectory);
        return Err(RunnerError::Write {
            path: output.to_owned(),
            source,
        });
    }
    check_writable(folder_of(output))
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn workplace() -> Result<tempfile::TempDir, RunnerError> {
    tempfile::Builder::new()
        .prefix("offmodel-run-")
        .tempdir()
        .map_err(|source| RunnerError::Write {
            path: std::env::temp_dir(),
            source,
        })
}

/// Writes the executed notebook, and the recorded frames beside it.
fn publish(
    executed: &AttemptOutput,
    folder: &Path,
    output: &Path,
) -> Result<Vec<PathBuf>, RunnerError> {
    let stem = output
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut written = Vec::new();
    for name in &executed.frames {
        let recorded = folder.join(format!("{name}.parquet"));
        let content = std::fs::read(&recorded).map_err(|error| RunnerError::Read {
            path: recorded,
            reason: error.to_string(),
        })?;
        let path = output.with_file_name(format!("{stem}-{name}.parquet"));
        write_atomically(&path, &content)?;
        written.push(path);
    }
    write_atomically(output, executed.notebook.as_bytes())?;
    written.insert(0, output.to_owned());
    Ok(written)
}

fn conclude(notebook: &Notebook, executed: &AttemptOutput, seconds: f64) {
    let Some(cause) = &executed.failure else {
        let cells = executed.finished_cells;
        let plural = if cells == 1 { "cell" } else { "cells" };
        errln!(
            "{}: {cells} {plural} in {seconds:.1} s",
            notebook.path.display()
        );
        return;
    };
    errln!("error: {}, {cause}", notebook.path.display());
    if let Some(error) = &executed.error {
        show_traceback(error);
    }
}

/// What the message does not say already.
fn show_traceback(error: &CellError) {
    for line in error
        .traceback
        .iter()
        .filter(|line| !line.contains(&error.value))
    {
        errln!("  {line}");
    }
}
