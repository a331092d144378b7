//! Reading the columns of a frame, with errors that name column and type.

use polars::prelude::{AnyValue, Column, DataFrame, DataType};
use thiserror::Error;

/// Why a column could not be read.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ColumnError {
    /// No column of that name.
    #[error("failed to read column {name:?}: the frame has {}", known.join(", "))]
    Missing {
        /// Column asked for.
        name: String,
        /// Columns of the frame.
        known: Vec<String>,
    },
    /// A column of another type.
    #[error("failed to read column {name:?}: expected {expected}, found {found}")]
    WrongType {
        /// Column asked for.
        name: String,
        /// Kind of type that was expected.
        expected: &'static str,
        /// Type of the column.
        found: DataType,
    },
    /// A null where a value is needed.
    #[error("failed to read column {name:?}: no value in row {row}")]
    Null {
        /// Column asked for.
        name: String,
        /// Row, counted from zero.
        row: usize,
    },
}

/// Values of a numeric column.
pub(crate) fn optional_numbers(
    frame: &DataFrame,
    name: &str,
) -> Result<Vec<Option<f64>>, ColumnError> {
    let column = find(frame, name)?;
    let wrong_type = || ColumnError::WrongType {
        name: name.to_owned(),
        expected: "numbers",
        found: column.dtype().clone(),
    };
    // A column without any value has the null type, whatever it was meant to hold.
    if !column.dtype().is_primitive_numeric() && *column.dtype() != DataType::Null {
        return Err(wrong_type());
    }
    let floats = column.cast(&DataType::Float64).map_err(|_| wrong_type())?;
    let values = floats.f64().map_err(|_| wrong_type())?;
    Ok(values.iter().collect())
}

/// Values of a numeric column that has no nulls.
pub(crate) fn numbers(frame: &DataFrame, name: &str) -> Result<Vec<f64>, ColumnError> {
    optional_numbers(frame, name)?
        .into_iter()
        .enumerate()
        .map(|(row, value)| {
            value.ok_or_else(|| ColumnError::Null {
                name: name.to_owned(),
                row,
            })
        })
        .collect()
}

/// Values of a text column that has no nulls.
pub(crate) fn texts(frame: &DataFrame, name: &str) -> Result<Vec<String>, ColumnError> {
    let column = find(frame, name)?;
    let wrong_type = || ColumnError::WrongType {
        name: name.to_owned(),
        expected: "text",
        found: column.dtype().clone(),
    };
    if *column.dtype() != DataType::String {
        return Err(wrong_type());
    }
    column
        .str()
        .map_err(|_| wrong_type())?
        .iter()
        .enumerate()
        .map(|(row, value)| {
            value.map(str::to_owned).ok_or_else(|| ColumnError::Null {
                name: name.to_owned(),
                row,
            })
        })
        .collect()
}

/// Values of a column of any type as labels: what a category or a legend entry is called.
pub(crate) fn labels(frame: &DataFrame, name: &str) -> Result<Vec<String>, ColumnError> {
    let column = find(frame, name)?.as_materialized_series();
    Ok(column
        .iter()
        .map(|value| match value {
            AnyValue::String(text) => text.to_owned(),
            AnyValue::Null => "(none)".to_owned(),
            other => other.to_string(),
        })
        .collect())
}

/// The distinct values in order of first appearance.
pub(crate) fn distinct(values: &[String]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for value in values {
        if !seen.contains(value) {
            seen.push(value.clone());
        }
    }
    seen
}

fn find<'frame>(frame: &'frame DataFrame, name: &str) -> Result<&'frame Column, ColumnError> {
    frame.column(name).map_err(|_| ColumnError::Missing {
        name: name.to_owned(),
        known: frame
            .get_column_names()
            .iter()
            .map(|known| known.to_string())
            .collect(),
    })
}
