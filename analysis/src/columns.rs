//! Reads columns of a frame, with errors that name column and type.

use polars::prelude::{AnyValue, Column, DataFrame, DataType};
use thiserror::Error;

/// Why a column could not be read.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ColumnError {
    /// The frame has no column of that name.
    #[error("failed to read column {name:?}: the frame has {}", known.join(", "))]
    Missing {
        /// The name of the column.
        name: String,
        /// The columns of the frame.
        known: Vec<String>,
    },
    /// The column has another type.
    #[error("failed to read column {name:?}: expected {expected}, found {found}")]
    WrongType {
        /// The name of the column.
        name: String,
        /// The kind of type that is needed.
        expected: &'static str,
        /// The type of the column.
        found: DataType,
    },
    /// The column has a null where a value is needed.
    #[error("failed to read column {name:?}: no value in row {row}")]
    Null {
        /// The name of the column.
        name: String,
        /// The row, from 0.
        row: usize,
    },
}

/// The values of a numeric column.
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
    // A column of nulls only has the null type, whatever type it was meant to have.
    if !column.dtype().is_primitive_numeric() && *column.dtype() != DataType::Null {
        return Err(wrong_type());
    }
    let floats = column.cast(&DataType::Float64).map_err(|_| wrong_type())?;
    let values = floats.f64().map_err(|_| wrong_type())?;
    Ok(values.iter().collect())
}

/// The values of a numeric column without nulls.
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

/// The values of a text column without nulls.
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

/// The distinct labels of a column, and the one that each row has.
pub(crate) struct Categories {
    /// In order of first appearance.
    pub(crate) names: Vec<String>,
    /// Indices into `names`, one per row.
    pub(crate) of_row: Vec<usize>,
}

impl Categories {
    /// Reads a column of any type; a null has the label "(none)".
    pub(crate) fn read(frame: &DataFrame, column: &str) -> Result<Self, ColumnError> {
        let series = find(frame, column)?.as_materialized_series();
        let labels = series.iter().map(|value| match value {
            AnyValue::String(text) => text.to_owned(),
            AnyValue::Null => "(none)".to_owned(),
            other => other.to_string(),
        });
        Ok(Self::new(labels))
    }

    /// Reads a column if one is given; without one, all rows have the same, empty label.
    pub(crate) fn read_optional(
        frame: &DataFrame,
        column: Option<&str>,
    ) -> Result<Self, ColumnError> {
        match column {
            Some(column) => Self::read(frame, column),
            None => Ok(Self::new((0..frame.height()).map(|_| String::new()))),
        }
    }

    fn new(labels: impl Iterator<Item = String>) -> Self {
        let mut names: Vec<String> = Vec::new();
        let of_row = labels
            .map(|label| {
                let known = names.iter().position(|name| *name == label);
                known.unwrap_or_else(|| {
                    names.push(label);
                    names.len() - 1
                })
            })
            .collect();
        Self { names, of_row }
    }

    /// The label of a row.
    pub(crate) fn label(&self, row: usize) -> &str {
        &self.names[self.of_row[row]]
    }
}

/// The distinct values, in order of first appearance.
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
