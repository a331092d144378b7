//! The tables of a sweep: the recorded frames of all trials, in one Parquet file per name.
//!
//! They are derived from the attempts' folders and can be written anew at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::*;
use serde_json::Value;

use super::{FailureReason, SweepFolder, TrialSummary};
use crate::error::RunnerError;
use crate::sweep::Trial;

/// Frames that are recorded under this name become `results.parquet`.
pub const RESULT_FRAME: &str = "result";

/// The name of the table of trials, unless the notebook records frames under it.
const TRIALS_TABLE: &str = "trials";

/// Concatenates the frames of the trials that succeeded, in the order of `trials`, and writes the
/// table of all trials. Returns the files written.
///
/// Each row starts with the columns `trial`, `attempt` and one per parameter; a column of the frame
/// with the same name replaces the parameter's. Parameters that are lists become JSON text. A trial
/// that recorded no `result` gets one row in `results.parquet`, with its parameters alone, so that
/// every succeeded trial is found there.
///
/// `trials.parquet` has one row per trial, whatever its status: `trial`, `attempts`, `status`,
/// `cause`, `ended`, `seconds`, `peak_memory` and the parameters.
///
/// # Errors
/// [`RunnerError::Read`] for a recorded frame, [`RunnerError::Write`] for a table.
pub fn compact(folder: &SweepFolder, trials: &[Trial]) -> Result<Vec<PathBuf>, RunnerError> {
    let mut gathered: BTreeMap<String, Vec<LazyFrame>> = BTreeMap::new();
    for trial in trials {
        let Some(result) = folder.summary(&trial.id).into_success() else {
            continue;
        };
        let attempt = folder.attempt(&trial.id, result.attempt);
        for name in &result.frames {
            let path = attempt.join(format!("{name}.parquet"));
            let frame = read(&path)
                .and_then(|frame| with_leading_columns(frame, trial, result.attempt))
                .map_err(|error| RunnerError::Read {
                    path,
                    reason: error.to_string(),
                })?;
            gathered.entry(name.clone()).or_default().push(frame.lazy());
        }
        if !result.frames.iter().any(|name| name == RESULT_FRAME) {
            let row = leading_columns(trial, result.attempt, 1);
            let row = DataFrame::new(1, row).map_err(|error| RunnerError::Read {
                path: attempt.clone(),
                reason: error.to_string(),
            })?;
            gathered
                .entry(RESULT_FRAME.to_owned())
                .or_default()
                .push(row.lazy());
        }
    }
    if !gathered.contains_key(TRIALS_TABLE) && !trials.is_empty() {
        let table = trials_table(folder, trials).map_err(|error| RunnerError::Read {
            path: folder.path().to_owned(),
            reason: error.to_string(),
        })?;
        gathered.insert(TRIALS_TABLE.to_owned(), vec![table.lazy()]);
    }
    gathered
        .into_iter()
        .map(|(name, frames)| write(folder.path(), &name, frames))
        .collect()
}

/// Reads a frame that an attempt recorded.
///
/// # Errors
/// [`RunnerError::Read`].
pub fn recorded_frame(
    folder: &SweepFolder,
    trial: &Trial,
    attempt: usize,
    name: &str,
) -> Result<DataFrame, RunnerError> {
    let path = folder
        .attempt(&trial.id, attempt)
        .join(format!("{name}.parquet"));
    read(&path).map_err(|error| RunnerError::Read {
        path,
        reason: error.to_string(),
    })
}

/// One row per trial.
fn trials_table(folder: &SweepFolder, trials: &[Trial]) -> PolarsResult<DataFrame> {
    let summaries: Vec<TrialSummary> = trials
        .iter()
        .map(|trial| folder.summary(&trial.id))
        .collect();
    let ids: Vec<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    let attempts: Vec<u64> = summaries
        .iter()
        .map(|summary| summary.attempts as u64)
        .collect();
    let statuses: Vec<String> = summaries
        .iter()
        .map(|summary| summary.status.to_string())
        .collect();
    let results = || summaries.iter().map(|summary| summary.result.as_ref());
    let causes: Vec<Option<String>> = results()
        .map(|result| result?.cause.as_ref().map(FailureReason::to_string))
        .collect();
    let ended: Vec<Option<&str>> = results()
        .map(|result| Some(result?.ended.as_str()))
        .collect();
    let seconds: Vec<Option<f64>> = results().map(|result| Some(result?.seconds)).collect();
    let peak_memory: Vec<Option<u64>> = results().map(|result| Some(result?.peak_memory)).collect();
    let mut columns = vec![
        Column::new("trial".into(), ids),
        Column::new("attempts".into(), attempts),
        Column::new("status".into(), statuses),
        Column::new("cause".into(), causes),
        Column::new("ended".into(), ended),
        Column::new("seconds".into(), seconds),
        Column::new("peak_memory".into(), peak_memory),
    ];
    let parameters: BTreeSet<&String> = trials
        .iter()
        .flat_map(|trial| trial.parameters.keys())
        .collect();
    for name in parameters {
        // A parameter with the name of one of these columns is left out; spec.json has its value.
        if columns.iter().any(|column| column.name() == name) {
            continue;
        }
        let scalars: Vec<Scalar> = trials
            .iter()
            .map(|trial| as_scalar(trial.parameters.get(name).unwrap_or(&Value::Null)))
            .collect();
        let values: Vec<AnyValue<'_>> = scalars
            .iter()
            .map(|scalar| scalar.value().clone())
            .collect();
        let values = Series::from_any_values(PlSmallStr::from_str(name), &values, false)?;
        columns.push(values.into());
    }
    DataFrame::new(trials.len(), columns)
}

/// Reads a sweep's `results.parquet`.
///
/// # Errors
/// [`RunnerError::Read`].
pub fn read_results(folder: &Path) -> Result<DataFrame, RunnerError> {
    let path = folder.join("results.parquet");
    read(&path).map_err(|error| RunnerError::Read {
        path,
        reason: error.to_string(),
    })
}

fn read(path: &Path) -> PolarsResult<DataFrame> {
    ParquetReader::new(File::open(path)?).finish()
}

fn with_leading_columns(
    frame: DataFrame,
    trial: &Trial,
    attempt: usize,
) -> PolarsResult<DataFrame> {
    let names: Vec<String> = frame
        .get_column_names()
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut columns = leading_columns(trial, attempt, frame.height());
    columns.retain(|column| !names.iter().any(|name| name == column.name().as_str()));
    columns.extend(frame.columns().iter().cloned());
    DataFrame::new(frame.height(), columns)
}

fn leading_columns(trial: &Trial, attempt: usize, height: usize) -> Vec<Column> {
    let scalar = |name: &str, value: Scalar| Column::new_scalar(name.into(), value, height);
    let mut columns = vec![
        scalar("trial", Scalar::from(PlSmallStr::from_str(&trial.id))),
        scalar("attempt", Scalar::from(attempt as u64)),
    ];
    columns.extend(
        trial
            .parameters
            .iter()
            .map(|(name, value)| scalar(name, as_scalar(value))),
    );
    columns
}

fn as_scalar(value: &Value) -> Scalar {
    match value {
        Value::Null => Scalar::null(DataType::Null),
        Value::Bool(value) => Scalar::from(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => Scalar::from(number),
            (None, Some(number), _) => Scalar::from(number),
            (None, None, number) => Scalar::from(number.unwrap_or(f64::NAN)),
        },
        Value::String(text) => Scalar::from(PlSmallStr::from_str(text)),
        Value::Array(_) | Value::Object(_) => {
            Scalar::from(PlSmallStr::from_string(value.to_string()))
        }
    }
}

fn write(folder: &Path, name: &str, frames: Vec<LazyFrame>) -> Result<PathBuf, RunnerError> {
    let file = if name == RESULT_FRAME {
        "results".to_owned()
    } else {
        name.to_owned()
    };
    let path = folder.join(format!("{file}.parquet"));
    let failed = |error: PolarsError| RunnerError::Write {
        path: path.clone(),
        source: std::io::Error::other(error),
    };
    // Trials of one notebook usually record the same columns; otherwise missing values become null
    // and number types widen.
    let arguments = UnionArgs {
        diagonal: true,
        to_supertypes: true,
        parallel: false,
        ..UnionArgs::default()
    };
    let mut whole = concat(frames, arguments)
        .and_then(LazyFrame::collect)
        .map_err(failed)?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .finish(&mut whole)
        .map_err(failed)?;
    super::write_atomically(&path, &bytes)?;
    Ok(path)
}
