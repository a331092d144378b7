//! Computes the positions of the parts of a heatmap.

use super::HeatmapAxes;
use super::table::Table;
use crate::figures::panel::{
    LABEL_SIZE, MARGIN, TICK_LABEL_SIZE, TITLE_SIZE, title_height, widest, width_with_title,
};
use crate::figures::scene::Point;
use crate::figures::ticks::{Ticks, fixed};
use crate::figures::typeface::{Weight, label, text_width};

pub(super) const CELL_HEIGHT: f64 = 30.0;
/// Em size of the number in a cell.
pub(super) const VALUE_SIZE: f64 = 10.5;
/// Width of the colour bar.
pub(super) const BAR_WIDTH: f64 = 14.0;
/// Rotation in degrees of column labels that are wider than a cell.
const LABEL_ROTATION: f64 = -45.0;
const MAX_LABEL_CHARACTERS: usize = 32;

/// Sizes and positions in a figure; all panels have the same size.
pub(super) struct Layout {
    pub(super) cell_width: f64,
    pub(super) row_labels: Vec<String>,
    pub(super) column_labels: Vec<String>,
    /// Rotation of the column labels in degrees; 0 if they are horizontal.
    pub(super) label_rotation: f64,
    /// Width left of the cells, for the labels of the rows and of the y axis.
    pub(super) left: f64,
    /// Height above the cells, for the name of the panel.
    pub(super) above: f64,
    pub(super) panel_width: f64,
    pub(super) panel_height: f64,
    panel_columns: usize,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Layout {
    pub(super) fn of(table: &Table, axes: &HeatmapAxes) -> Self {
        let shorten = |labels: &[String]| -> Vec<String> {
            labels
                .iter()
                .map(|l| label(l, MAX_LABEL_CHARACTERS))
                .collect()
        };
        let (row_labels, column_labels) = (shorten(&table.rows), shorten(&table.columns));
        let numbers: Vec<String> = table
            .panels
            .iter()
            .flat_map(|panel| panel.values.iter().flatten())
            .map(|value| fixed(*value, axes.decimals))
            .collect();
        let cell_width = (widest(&numbers, VALUE_SIZE) + 12.0).max(44.0);

        let longest = widest(&column_labels, TICK_LABEL_SIZE);
        let label_rotation = if longest + 6.0 <= cell_width {
            0.0
        } else {
            LABEL_ROTATION
        };
        // A rotated label ends under its column; it reaches down and left by this share of its width.
        let slant = LABEL_ROTATION.to_radians().cos();
        let reach = |column: usize, label: &String| {
            text_width(label, TICK_LABEL_SIZE, Weight::Regular) * slant + 6.0
                - (column as f64 + 0.5) * cell_width
        };
        let slanted = column_labels
            .iter()
            .enumerate()
            .filter(|_| label_rotation != 0.0)
            .map(|(column, label)| reach(column, label))
            .fold(0.0, f64::max);
        let left = (widest(&row_labels, TICK_LABEL_SIZE) + LABEL_SIZE + 22.0).max(slanted);
        let depth = if label_rotation == 0.0 {
            TICK_LABEL_SIZE
        } else {
            longest * slant
        };
        let below = depth + LABEL_SIZE + 20.0;
        let above = if axes.panels.is_some() {
            TITLE_SIZE + 8.0
        } else {
            0.0
        };

        let panel_width = left + cell_width * table.columns.len() as f64;
        let panel_height = above + CELL_HEIGHT * table.rows.len() as f64 + below;
        let panel_columns = if table.panels.len() == 1 { 1 } else { 2 };
        let panel_rows = table.panels.len().div_ceil(panel_columns);
        let top = MARGIN + title_height(&axes.options.title);
        let scale_labels = scale_ticks(table.limit).labels();
        let scale =
            24.0 + BAR_WIDTH + 8.0 + widest(&scale_labels, TICK_LABEL_SIZE) + LABEL_SIZE + 12.0;
        let gap = 26.0;
        Self {
            width: width_with_title(
                MARGIN * 2.0
                    + panel_width * panel_columns as f64
                    + gap * (panel_columns - 1) as f64
                    + scale,
                &axes.options.title,
            ),
            height: (top
                + panel_height * panel_rows as f64
                + 12.0 * (panel_rows - 1) as f64
                + MARGIN)
                .ceil(),
            cell_width,
            row_labels,
            column_labels,
            label_rotation,
            left,
            above,
            panel_width: panel_width + gap,
            panel_height: panel_height + 12.0,
            panel_columns,
            top,
        }
    }

    /// The top left corner of the cells of a panel.
    pub(super) fn corner(&self, panel: usize) -> Point {
        let (row, column) = (panel / self.panel_columns, panel % self.panel_columns);
        (
            MARGIN + self.left + column as f64 * self.panel_width,
            self.top + self.above + row as f64 * self.panel_height,
        )
    }
}

/// Ticks of the colour bar.
pub(super) fn scale_ticks(limit: f64) -> Ticks {
    Ticks::covering(-limit, limit, 7)
}
