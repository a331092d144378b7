//! Reading the cells of a heatmap from a frame.

use polars::prelude::DataFrame;

use super::HeatmapAxes;
use crate::columns::{distinct, labels, optional_numbers};
use crate::figures::figure::{FigureError, check_finite};
use crate::figures::numerals::Marks;

/// Rows and columns of a panel.
const SIDE_LIMIT: usize = 100;
/// Panels of a figure.
const PANEL_LIMIT: usize = 16;

/// The numbers of a frame by panel, row and column.
pub(super) struct Table {
    pub(super) rows: Vec<String>,
    pub(super) columns: Vec<String>,
    pub(super) panels: Vec<PanelValues>,
    /// Absolute value at which the colours saturate.
    pub(super) limit: f64,
}

/// One panel of a table.
pub(super) struct PanelValues {
    pub(super) name: String,
    /// Row by row.
    pub(super) values: Vec<Option<f64>>,
}

impl Table {
    pub(super) fn read(frame: &DataFrame, axes: &HeatmapAxes) -> Result<Self, FigureError> {
        let row_of = labels(frame, &axes.rows)?;
        let column_of = labels(frame, &axes.columns)?;
        let panel_of = match &axes.panels {
            Some(column) => labels(frame, column)?,
            None => vec![String::new(); row_of.len()],
        };
        let values = optional_numbers(frame, &axes.value)?;
        let present: Vec<f64> = values.iter().copied().flatten().collect();
        if present.is_empty() {
            return Err(FigureError::Empty {
                column: axes.value.clone(),
            });
        }
        check_finite(&axes.value, &present)?;

        let (rows, columns) = (distinct(&row_of), distinct(&column_of));
        let names = distinct(&panel_of);
        for (what, count, limit) in [
            ("rows", rows.len(), SIDE_LIMIT),
            ("columns", columns.len(), SIDE_LIMIT),
            ("panels", names.len(), PANEL_LIMIT),
        ] {
            if count > limit {
                return Err(FigureError::TooMany { what, count, limit });
            }
        }
        let mut panels: Vec<PanelValues> = names
            .iter()
            .map(|name| PanelValues {
                name: name.clone(),
                values: vec![None; rows.len() * columns.len()],
            })
            .collect();
        let mut taken = vec![false; panels.len() * rows.len() * columns.len()];
        let find = |known: &[String], name: &String| {
            known.iter().position(|other| other == name).unwrap_or(0)
        };
        for (line, value) in values.into_iter().enumerate() {
            let panel = find(&names, &panel_of[line]);
            let cell =
                find(&rows, &row_of[line]) * columns.len() + find(&columns, &column_of[line]);
            let taken = &mut taken[panel * rows.len() * columns.len() + cell];
            if *taken {
                let place = [&row_of[line], &column_of[line], &panel_of[line]];
                let place: Vec<&str> = place
                    .into_iter()
                    .map(String::as_str)
                    .filter(|part| !part.is_empty())
                    .collect();
                return Err(FigureError::Duplicate {
                    place: place.join(", "),
                });
            }
            *taken = true;
            panels[panel].values[cell] = value;
        }
        Ok(Self {
            limit: scale_limit(&present, axes)?,
            rows,
            columns,
            panels,
        })
    }
}

fn scale_limit(values: &[f64], axes: &HeatmapAxes) -> Result<f64, FigureError> {
    match axes.limit {
        Some(limit) if limit.is_finite() && limit > 0.0 => Ok(limit),
        Some(limit) => Err(FigureError::NotFinite {
            column: "limit of the colours".to_owned(),
            row: 0,
            value: limit,
        }),
        None => {
            let largest = values
                .iter()
                .fold(0.0_f64, |max, value| max.max(value.abs()));
            Ok(if largest == 0.0 {
                1.0
            } else {
                Marks::covering(0.0, largest, 5).high()
            })
        }
    }
}
