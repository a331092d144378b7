//! Reads what two sweeps recorded.

use std::path::Path;

use polars::prelude::{AnyValue, Column, DataFrame, DataType};

use crate::error::RunnerError;
use crate::store::{RESULT_FRAME, SweepFolder, TrialStatus, TrialSummary, recorded_frame};
use crate::sweep::{Trial, submitted_trials};

/// A sweep with the frames that its trials recorded.
#[derive(Debug, Clone)]
pub struct CollectedSweep {
    /// The name of its folder.
    pub name: String,
    /// The trials, in the order of the sweep.
    pub trials: Vec<CollectedTrial>,
}

/// A trial with the frame that it recorded.
#[derive(Debug, Clone)]
pub struct CollectedTrial {
    /// The trial.
    pub trial: Trial,
    /// The status with the result that decides it.
    pub summary: TrialSummary,
    /// The frame named `result`, if the trial succeeded and recorded one.
    pub frame: Option<ComparableFrame>,
}

/// The columns of a frame that label rows or can be compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ComparableFrame {
    /// The number of rows.
    pub height: usize,
    /// Columns of text or booleans, as text.
    pub labels: Vec<(String, Vec<String>)>,
    /// Columns of integers. The comparison decides whether they are labels or values.
    pub integers: Vec<(String, Vec<Option<f64>>)>,
    /// Columns of other numbers; numbers that are not finite count as missing.
    pub floats: Vec<(String, Vec<Option<f64>>)>,
}

impl CollectedSweep {
    /// Reads a sweep's folder, without changing it.
    ///
    /// # Errors
    /// [`RunnerError::NotASweep`], or [`RunnerError::Read`] for a recorded frame.
    pub fn read(path: &Path) -> Result<Self, RunnerError> {
        let folder = SweepFolder::open_read_only(path)?;
        let mut trials = Vec::new();
        for trial in submitted_trials(&folder)? {
            let summary = folder.summary(&trial.id);
            let frame = match &summary.result {
                Some(result)
                    if result.status == TrialStatus::Succeeded
                        && result.frames.iter().any(|name| name == RESULT_FRAME) =>
                {
                    let frame = recorded_frame(&folder, &trial, result.attempt, RESULT_FRAME)?;
                    Some(ComparableFrame::new(&frame))
                }
                _ => None,
            };
            trials.push(CollectedTrial {
                trial,
                summary,
                frame,
            });
        }
        Ok(Self {
            name: folder.name(),
            trials,
        })
    }
}

impl ComparableFrame {
    /// Sorts the columns of a frame by type; columns of other types are left out.
    pub fn new(frame: &DataFrame) -> Self {
        let mut comparable = Self {
            height: frame.height(),
            ..Self::default()
        };
        for column in frame.columns() {
            let name = column.name().to_string();
            let kind = column.dtype();
            if kind.is_integer() {
                comparable.integers.push((name, numbers(column)));
            } else if kind.is_primitive_numeric() {
                comparable.floats.push((name, numbers(column)));
            } else if matches!(kind, DataType::String | DataType::Boolean) {
                comparable.labels.push((name, texts(column)));
            }
        }
        comparable
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
