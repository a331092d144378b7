use std::path::Path;

use polars::prelude::{AnyValue, Column, DataFrame, DataType};

use crate::cli::submitted_trials;
use crate::error::RunnerError;
use crate::store::{RESULT, Standing, SweepFolder, recorded_frame};
use crate::sweep::Trial;

/// A sweep with what its trials recorded.
#[derive(Debug, Clone)]
pub struct CollectedSweep {
    /// The name of its folder.
    pub name: String,
    /// Its trials, in their order.
    pub trials: Vec<CollectedTrial>,
}

/// A trial with what it recorded.
#[derive(Debug, Clone)]
pub struct CollectedTrial {
    /// The trial.
    pub trial: Trial,
    /// Where it stands.
    pub standing: Standing,
    /// Its frame named `result`, if it succeeded and recorded one.
    pub recorded: Option<Recorded>,
}

/// A recorded frame, column by column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    /// Rows.
    pub height: usize,
    /// Text and truth values, by column.
    pub labels: Vec<(String, Vec<String>)>,
    /// Whole numbers, by column: labels or values, as the comparison finds.
    pub integers: Vec<(String, Vec<Option<f64>>)>,
    /// Other numbers, by column; what is not finite is no value.
    pub floats: Vec<(String, Vec<Option<f64>>)>,
}

impl CollectedSweep {
    /// Reads a sweep's folder, and changes nothing in it.
    ///
    /// # Errors
    /// When it is no sweep's folder, or a recorded frame cannot be read.
    pub fn read(path: &Path) -> Result<Self, RunnerError> {
        let folder = SweepFolder::view(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut trials = Vec::new();
        for trial in submitted_trials(&folder)? {
            let standing = folder.state(&trial.id).standing;
            let recorded = match &standing {
                Standing::Succeeded(result) if result.frames.iter().any(|name| name == RESULT) => {
                    let frame = recorded_frame(&folder, &trial, result.attempt, RESULT)?;
                    Some(Recorded::of(&frame))
                }
                _ => None,
            };
            trials.push(CollectedTrial {
                trial,
                standing,
                recorded,
            });
        }
        Ok(Self {
            name: name.into_owned(),
            trials,
        })
    }
}

impl Recorded {
    /// The columns of a frame that can be compared or label a row.
    pub fn of(frame: &DataFrame) -> Self {
        let mut recorded = Self {
            height: frame.height(),
            ..Self::default()
        };
        for column in frame.columns() {
            let name = column.name().to_string();
            let kind = column.dtype();
            if kind.is_integer() {
                recorded.integers.push((name, numbers(column)));
            } else if kind.is_primitive_numeric() {
                recorded.floats.push((name, numbers(column)));
            } else if matches!(kind, DataType::String | DataType::Boolean) {
                recorded.labels.push((name, texts(column)));
            }
        }
        recorded
    }
}

fn numbers(column: &Column) -> Vec<Option<f64>> {
    let floats = column.cast(&DataType::Float64);
    let values = floats.as_ref().ok().and_then(|floats| floats.f64().ok());
    values.map_or_else(Vec::new, |values| {
        values
            .iter()
            .map(|value| value.filter(|value| value.is_finite()))
            .collect()
    })
}

fn texts(column: &Column) -> Vec<String> {
    (0..column.len())
        .map(|row| match column.get(row) {
            Ok(AnyValue::Null) | Err(_) => String::new(),
            Ok(AnyValue::String(text)) => text.to_owned(),
            Ok(AnyValue::StringOwned(text)) => text.to_string(),
            Ok(other) => other.to_string(),
        })
        .collect()
}
