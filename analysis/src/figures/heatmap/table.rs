//! Reads the cells of a heatmap from a frame.

use polars::prelude::DataFrame;

use super::HeatmapAxes;
use crate::columns::{Categories, optional_numbers};
use crate::figures::figure::{FigureError, check_finite};
use crate::figures::ticks::Ticks;

/// Most rows, and most columns, of a panel.
const MAX_SIDE: usize = 100;
const MAX_PANELS: usize = 16;

/// The numbers of a frame by panel, row and column.
pub(super) struct Table {
    pub(super) rows: Vec<String>,
    pub(super) columns: Vec<String>,
    pub(super) panels: Vec<PanelValues>,
    /// The absolute value at which the colours saturate.
    pub(super) limit: f64,
}

/// The values of one panel.
pub(super) struct PanelValues {
    pub(super) name: String,
    /// The cells of the first row, then those of the second, and so on.
    pub(super) values: Vec<Option<f64>>,
}

impl Table {
    pub(super) fn read(frame: &DataFrame, axes: &HeatmapAxes) -> Result<Self, FigureError> {
        let rows = Categories::read(frame, &axes.options.y)?;
        let columns = Categories::read(frame, &axes.options.x)?;
        let panel_names = Categories::read_optional(frame, axes.panels.as_deref())?;
        let values = optional_numbers(frame, &axes.value)?;
        let present: Vec<f64> = values.iter().copied().flatten().collect();
        if present.is_empty() {
            return Err(FigureError::Empty {
                column: axes.value.clone(),
            });
        }
        check_finite(&axes.value, &present)?;

        for (what, count, limit) in [
            ("rows", rows.names.len(), MAX_SIDE),
            ("columns", columns.names.len(), MAX_SIDE),
            ("panels", panel_names.names.len(), MAX_PANELS),
        ] {
            if count > limit {
                return Err(FigureError::TooMany { what, count, limit });
            }
        }
        let cells = rows.names.len() * columns.names.len();
        let mut panels: Vec<PanelValues> = panel_names
            .names
            .iter()
            .map(|name| PanelValues {
                name: name.clone(),
                values: vec![None; cells],
            })
            .collect();
        let mut has_row = vec![false; panels.len() * cells];
        for (row, value) in values.into_iter().enumerate() {
            let panel = panel_names.of_row[row];
            let cell = rows.of_row[row] * columns.names.len() + columns.of_row[row];
            if std::mem::replace(&mut has_row[panel * cells + cell], true) {
                let labels = [rows.label(row), columns.label(row), panel_names.label(row)];
                let labels: Vec<&str> = labels
                    .into_iter()
                    .filter(|label| !label.is_empty())
                    .collect();
                return Err(FigureError::Duplicate {
                    place: labels.join(", "),
                });
            }
            panels[panel].values[cell] = value;
        }
        Ok(Self {
            limit: scale_limit(&present, axes)?,
            rows: rows.names,
            columns: columns.names,
            panels,
        })
    }
}

/// The absolute value at which the colours saturate.
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
                Ticks::covering(0.0, largest, 5).high()
            })
        }
    }
}
