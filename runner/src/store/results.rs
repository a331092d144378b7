//! The frames of all trials in one file per name: a compaction, rebuildable at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::*;
use serde_json::Value;

use super::{AttemptResult, FailureReason, Standing, SweepFolder};
use crate::error::RunnerError;
use crate::sweep::Trial;

/// Frames recorded under this name become `results.parquet`.
pub const RESULT: &str = "result";

/// The file with a row for every trial, unless a notebook records frames of this name.
const TRIALS: &str = "trials";

/// Gathers the frames of the trials that succeeded, in the order of the trials.
///
/// Every row of a frame is led by the columns `trial` and `attempt` and one per parameter; a
/// column of the frame with the name of a parameter stands instead of it. Trials that recorded
/// no `result` have one row in `results.parquet`, with their parameters alone, so that every
/// succeeded trial is found there. Lists among the parameters are JSON text.
///
/// `trials.parquet` has a row for every trial, however it stands: `attempts`, `status`, `cause`,
/// `ended`, `seconds`, `peak_memory` and the parameters. It is written anew from what lies in the
/// folder, as all of them. Returns the files written.
///
/// # Errors
/// When a recorded frame cannot be read, or a file cannot be written.
pub fn compact(folder: &SweepFolder, trials: &[Trial]) -> Result<Vec<PathBuf>, RunnerError> {
    let mut gathered: BTreeMap<String, Vec<LazyFrame>> = BTreeMap::new();
    for trial in trials {
        let Standing::Succeeded(result) = folder.state(&trial.id).standing else {
            continue;
        };
        let attempt = folder.attempt(&trial.id, result.attempt);
        for name in &result.frames {
            let path = attempt.join(format!("{name}.parquet"));
            let led = read(&path)
                .and_then(|frame| led_by_parameters(frame, trial, result.attempt))
                .map_err(|error| RunnerError::Read {
                    path,
                    reason: error.to_string(),
                })?;
            gathered.entry(name.clone()).or_default().push(led.lazy());
        }
        if !result.frames.iter().any(|name| name == RESULT) {
            let row = leading_columns(trial, result.attempt, 1);
            let row = DataFrame::new(1, row).map_err(|error| RunnerError::Read {
                path: attempt.clone(),
                reason: error.to_string(),
            })?;
            gathered
                .entry(RESULT.to_owned())
                .or_default()
                .push(row.lazy());
        }
    }
    if !gathered.contains_key(TRIALS) && !trials.is_empty() {
        let standings = standings(folder, trials).map_err(|error| RunnerError::Read {
            path: folder.path().to_owned(),
            reason: error.to_string(),
        })?;
        gathered.insert(TRIALS.to_owned(), vec![standings.lazy()]);
    }
    gathered
        .into_iter()
        .map(|(name, frames)| write(folder.path(), &name, frames))
        .collect()
}

/// A frame that an attempt recorded.
///
/// # Errors
/// When it is not there or not readable.
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

/// A row for every trial.
fn standings(folder: &SweepFolder, trials: &[Trial]) -> PolarsResult<DataFrame> {
    let mut attempts = Vec::new();
    let mut statuses = Vec::new();
    let mut results = Vec::new();
    for trial in trials {
        let state = folder.state(&trial.id);
        let (status, result) = match state.standing {
            Standing::New => ("new", None),
            Standing::Unfinished => ("unfinished", None),
            Standing::Succeeded(result) => ("succeeded", Some(result)),
            Standing::Failed(result) => ("failed", Some(result)),
            Standing::Cancelled(result) => ("cancelled", Some(result)),
        };
        attempts.push(state.attempts as u64);
        statuses.push(status);
        results.push(result);
    }
    let cause = |result: &AttemptResult| result.cause.as_ref().map(FailureReason::to_string);
    let known = || results.iter().map(Option::as_ref);
    let ids: Vec<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    let own = [
        Column::new("trial".into(), ids),
        Column::new("attempts".into(), attempts),
        Column::new("status".into(), statuses),
        Column::new(
            "cause".into(),
            known().map(|result| cause(result?)).collect::<Vec<_>>(),
        ),
        Column::new(
            "ended".into(),
            known()
                .map(|result| Some(result?.ended.as_str()))
                .collect::<Vec<_>>(),
        ),
        Column::new(
            "seconds".into(),
            known()
                .map(|result| Some(result?.seconds))
                .collect::<Vec<_>>(),
        ),
        Column::new(
            "peak_memory".into(),
            known()
                .map(|result| Some(result?.peak_memory))
                .collect::<Vec<_>>(),
        ),
    ];
    let mut columns = own.to_vec();
    let names: BTreeSet<&String> = trials
        .iter()
        .flat_map(|trial| trial.parameters.keys())
        .collect();
    for name in names {
        // A parameter of the name of one of these columns is found in spec.json.
        if own.iter().any(|own| own.name() == name) {
            continue;
        }
        let values: Vec<Scalar> = trials
            .iter()
            .map(|trial| as_scalar(trial.parameters.get(name).unwrap_or(&Value::Null)))
            .collect();
        let values: Vec<AnyValue<'_>> =
            values.iter().map(|scalar| scalar.value().clone()).collect();
        let values = Series::from_any_values(PlSmallStr::from_str(name), &values, false)?;
        columns.push(values.into());
    }
    DataFrame::new(trials.len(), columns)
}

/// Reads a sweep's `results.parquet`.
///
/// # Errors
/// When it is not there or not readable.
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

fn led_by_parameters(frame: DataFrame, trial: &Trial, attempt: usize) -> PolarsResult<DataFrame> {
    let own: Vec<String> = frame
        .get_column_names()
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut columns = leading_columns(trial, attempt, frame.height());
    columns.retain(|column| !own.iter().any(|name| name == column.name().as_str()));
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
    let file = if name == RESULT {
        "results".to_owned()
    } else {
        name.to_owned()
    };
    let path = folder.join(format!("{file}.parquet"));
    let failed = |error: PolarsError| RunnerError::Write {
        path: path.clone(),
        source: std::io::Error::other(error),
    };
    // Trials of one notebook record the same columns; where they do not, missing values are
    // null and number types widen.
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
