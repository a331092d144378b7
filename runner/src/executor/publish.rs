use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use offmodel_cells::parameters::Parameter;
use offmodel_events::batch::ExitStatus;
use offmodel_program::Notebook;

use super::local::{Allocation, ExecutorError};
use super::output::collect_output;
use super::{AttemptOutcome, AttemptSpec};
use crate::error::RunnerError;
use crate::store::{
    AttemptResult, FailureReason, RESULT_VERSION, Status, SweepFolder, write_atomically,
};
use crate::sweep::Trial;

/// An attempt whose process has ended, or could not be started.
#[derive(Debug)]
pub(super) struct EndedAttempt<'a> {
    pub spec: &'a AttemptSpec,
    pub allocation: &'a Allocation,
    pub folder: &'a Path,
    pub exit: Result<ExitStatus, ExecutorError>,
    /// Why the runner ended it, if it did.
    pub stop_reason: Option<FailureReason>,
    /// Whether the whole sweep, or the job of this attempt, was being stopped when it ended.
    pub is_stopping: bool,
}

impl EndedAttempt<'_> {
    /// Writes the executed notebook, then the result.
    ///
    /// An attempt that failed while it was being stopped gets no result: the stop may be why it
    /// failed, so the trial must run again. One that succeeded nevertheless keeps its success.
    ///
    /// # Errors
    /// When a file cannot be read or written, or the fork server died.
    pub(super) fn publish(
        self,
        notebook: &Notebook,
        parameters: &[Parameter],
    ) -> Result<AttemptOutcome, RunnerError> {
        let exit_status = match self.exit {
            Ok(exit_status) => exit_status,
            Err(_) if self.is_stopping => return Ok(AttemptOutcome::Interrupted),
            Err(ExecutorError::Refused { reason }) => {
                let reason = FailureReason::NotStarted { reason };
                let result = AttemptResult {
                    cores: self.allocation.cores.clone(),
                    gpus: self.allocation.gpus.clone().unwrap_or_default(),
                    ..result_without_run(self.spec, reason)
                };
                result.publish(self.folder)?;
                return Ok(AttemptOutcome::Published(Box::new(result)));
            }
            Err(error) => return Err(error.into()),
        };
        let given = &self.spec.trial.given;
        let output = collect_output(self.folder, &exit_status, notebook, parameters, given)?;
        write_atomically(&self.folder.join("out.ipynb"), output.notebook.as_bytes())?;
        let is_cancelled = self.stop_reason == Some(FailureReason::Cancelled);
        if self.is_stopping && output.failure.is_some() && !is_cancelled {
            return Ok(AttemptOutcome::Interrupted);
        }
        // An attempt that the runner stopped reports an interrupt or a signal, but failed for the
        // reason for which it was stopped. One that succeeded before the signal came has not failed.
        let failure = output
            .failure
            .map(|failure| self.stop_reason.unwrap_or(failure));
        let ended = Utc::now();
        let result = AttemptResult {
            version: RESULT_VERSION,
            trial: self.spec.trial.id.clone(),
            attempt: self.spec.attempt,
            status: status_of(failure.as_ref()),
            cause: failure,
            program: Some(self.spec.program.clone()),
            started: started(ended, exit_status.seconds).map(timestamp),
            ended: timestamp(ended),
            seconds: exit_status.seconds,
            peak_memory: exit_status.peak_memory,
            cores: self.allocation.cores.clone(),
            gpus: self.allocation.gpus.clone().unwrap_or_default(),
            frames: output.frames,
        };
        result.publish(self.folder)?;
        Ok(AttemptOutcome::Published(Box::new(result)))
    }
}

/// The result of an attempt whose program did not run, or left nothing to read.
pub(super) fn result_without_run(spec: &AttemptSpec, failure: FailureReason) -> AttemptResult {
    AttemptResult {
        program: Some(spec.program.clone()),
        ..result_without_program(&spec.trial.id, spec.attempt, failure)
    }
}

/// Records that a trial was cancelled while no runner was at work: in its interrupted attempt, or
/// in a first one that never began.
///
/// # Errors
/// When the result cannot be written.
pub fn record_cancelled(folder: &SweepFolder, trial: &Trial) -> Result<(), RunnerError> {
    let attempt = folder.state(&trial.id).attempts.max(1);
    let path = folder.attempt(&trial.id, attempt);
    std::fs::create_dir_all(&path).map_err(|source| RunnerError::Write {
        path: path.clone(),
        source,
    })?;
    result_without_program(&trial.id, attempt, FailureReason::Cancelled).publish(&path)
}

fn result_without_program(trial: &str, attempt: usize, failure: FailureReason) -> AttemptResult {
    let now = timestamp(Utc::now());
    AttemptResult {
        version: RESULT_VERSION,
        trial: trial.to_owned(),
        attempt,
        status: status_of(Some(&failure)),
        cause: Some(failure),
        program: None,
        started: Some(now.clone()),
        ended: now,
        seconds: 0.0,
        peak_memory: 0,
        cores: Vec::new(),
        gpus: Vec::new(),
        frames: Vec::new(),
    }
}

fn status_of(failure: Option<&FailureReason>) -> Status {
    match failure {
        None => Status::Succeeded,
        Some(FailureReason::Cancelled) => Status::Cancelled,
        Some(_) => Status::Failed,
    }
}

fn started(ended: DateTime<Utc>, seconds: f64) -> Option<DateTime<Utc>> {
    let duration = chrono::Duration::try_milliseconds((seconds * 1000.0) as i64)?;
    ended.checked_sub_signed(duration)
}

fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
