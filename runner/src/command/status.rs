use std::io::Write;

use offmodel_program::Notebook;
use serde::Serialize;

use super::StatusArguments;
use crate::assignment::{Assignment, described};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::spec::{SweepSpec, Trial, trials};
use crate::store::{AttemptResult, Standing, SweepFolder, TrialState};

/// Where a sweep stands.
#[derive(Debug, Serialize)]
struct SweepStatus {
    version: u32,
    sweep: String,
    /// Whether a runner is at work on it.
    running: bool,
    total: usize,
    succeeded: usize,
    failed: usize,
    /// Without a result: never begun, running, or interrupted.
    left: usize,
    trials: Vec<TrialStatus>,
}

#[derive(Debug, Serialize)]
struct TrialStatus {
    trial: String,
    status: &'static str,
    attempts: usize,
    parameters: Assignment,
    result: Option<AttemptResult>,
}

/// Tells where a sweep stands.
pub(super) fn status(arguments: &StatusArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::view(&arguments.folder)?;
    let trials = submitted_trials(&folder)?;
    let status = collect(&folder, &trials);
    let text = if arguments.json {
        serde_json::to_string_pretty(&status).map_err(|error| RunnerError::Read {
            path: folder.path().to_owned(),
            reason: error.to_string(),
        })?
    } else {
        readable(&status)
    };
    // A reader that has seen enough (`| head`) is no error.
    let _ = writeln!(std::io::stdout(), "{text}");
    Ok(ExitCode::Success)
}

/// The trials of a sweep, from the file and the notebook as they were submitted.
pub(crate) fn submitted_trials(folder: &SweepFolder) -> Result<Vec<Trial>, RunnerError> {
    let spec = SweepSpec::read(&folder.sweep_file())?;
    let notebook = Notebook::read(&folder.notebook_file())?;
    let parameters = notebook.parameters()?;
    Ok(trials(&spec, &parameters, &notebook.code_hash())?.list)
}

fn collect(folder: &SweepFolder, trials: &[Trial]) -> SweepStatus {
    let name = folder
        .path()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let trials: Vec<TrialStatus> = trials
        .iter()
        .map(|trial| {
            let TrialState { attempts, standing } = folder.state(&trial.id);
            let (status, result) = match standing {
                Standing::New => ("new", None),
                Standing::Unfinished => ("unfinished", None),
                Standing::Succeeded(result) => ("succeeded", Some(result)),
                Standing::Failed(result) => ("failed", Some(result)),
            };
            let parameters = trial.given.clone();
            TrialStatus {
                trial: trial.id.clone(),
                status,
                attempts,
                parameters,
                result,
            }
        })
        .collect();
    let count = |status| trials.iter().filter(|trial| trial.status == status).count();
    SweepStatus {
        version: 1,
        sweep: name,
        running: folder.is_running(),
        total: trials.len(),
        succeeded: count("succeeded"),
        failed: count("failed"),
        left: count("new") + count("unfinished"),
        trials,
    }
}

fn readable(status: &SweepStatus) -> String {
    let runner = if status.running {
        "a runner is at work"
    } else {
        "no runner is at work"
    };
    let mut text = format!(
        "sweep {}: {} trials, {} succeeded, {} failed, {} left; {runner}",
        status.sweep, status.total, status.succeeded, status.failed, status.left
    );
    for trial in &status.trials {
        let Some(AttemptResult {
            cause: Some(cause),
            attempt,
            ..
        }) = &trial.result
        else {
            continue;
        };
        let values = described(&trial.parameters);
        text.push_str(&format!(
            "\ntrial {} failed in attempt {attempt}: {cause} ({values})",
            trial.trial
        ));
    }
    text
}
