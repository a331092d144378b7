//! Where the parts of a heatmap go.

use super::HeatmapAxes;
use super::table::Table;
use crate::figures::axes::{
    LABEL_SIZE, MARGIN, MARK_SIZE, TITLE_SIZE, title_height, widest, width_with_title,
};
use crate::figures::numerals::{Marks, fixed};
use crate::figures::scene::Point;
use crate::figures::typeface::{Weight, label, text_width};

pub(super) const CELL_HEIGHT: f64 = 30.0;
/// Em size of the number in a cell.
pub(super) const VALUE_SIZE: f64 = 10.5;
/// Width of the colour bar.
pub(super) const BAR_WIDTH: f64 = 14.0;
/// Column labels that are wider than a cell go up to the right.
const TURN: f64 = -45.0;
/// Characters of a row or column label.
const LABEL_LIMIT: usize = 32;

/// Measures of a figure; all panels are alike.
pub(super) struct Layout {
    pub(super) cell_width: f64,
    pub(super) row_labels: Vec<String>,
    pub(super) column_labels: Vec<String>,
    /// By how many degrees the column labels are turned.
    pub(super) turn: f64,
    /// Left of the cells: labels and name of the rows.
    pub(super) left: f64,
    /// Above the cells: name of the panel.
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
            labels.iter().map(|l| label(l, LABEL_LIMIT)).collect()
        };
        let (row_labels, column_labels) = (shorten(&table.rows), shorten(&table.columns));
        let numbers: Vec<String> = table
            .panels
            .iter()
            .flat_map(|panel| panel.values.iter().flatten())
            .map(|value| fixed(*value, axes.decimals))
            .collect();
        let cell_width = (widest(&numbers, VALUE_SIZE) + 12.0).max(44.0);

        let longest = widest(&column_labels, MARK_SIZE);
        let turn = if longest + 6.0 <= cell_width {
            0.0
        } else {
            TURN
        };
        // A label that ends under its column reaches down and to the left by its length times this.
        let slant = TURN.to_radians().cos();
        let reach = |column: usize, label: &String| {
            text_width(label, MARK_SIZE, Weight::Regular) * slant + 6.0
                - (column as f64 + 0.5) * cell_width
        };
        let slanted = column_labels
            .iter()
            .enumerate()
            .filter(|_| turn != 0.0)
            .map(|(column, label)| reach(column, label))
            .fold(0.0, f64::max);
        let left = (widest(&row_labels, MARK_SIZE) + LABEL_SIZE + 22.0).max(slanted);
        let depth = if turn == 0.0 {
            MARK_SIZE
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
        let top = MARGIN + title_height(&axes.title);
        let scale_labels = scale_marks(table.limit).labels();
        let scale = 24.0 + BAR_WIDTH + 8.0 + widest(&scale_labels, MARK_SIZE) + LABEL_SIZE + 12.0;
        let gap = 26.0;
        Self {
            width: width_with_title(
                MARGIN * 2.0
                    + panel_width * panel_columns as f64
                    + gap * (panel_columns - 1) as f64
                    + scale,
                &axes.title,
            ),
            height: (top
                + panel_height * panel_rows as f64
                + 12.0 * (panel_rows - 1) as f64
                + MARGIN)
                .ceil(),
            cell_width,
            row_labels,
            column_labels,
            turn,
            left,
            above,
            panel_width: panel_width + gap,
            panel_height: panel_height + 12.0,
            panel_columns,
            top,
        }
    }

    /// Top left corner of the cells of a panel.
    pub(super) fn corner(&self, panel: usize) -> Point {
        let (row, column) = (panel / self.panel_columns, panel % self.panel_columns);
        (
            MARGIN + self.left + column as f64 * self.panel_width,
            self.top + self.above + row as f64 * self.panel_height,
        )
    }
}

/// Marks of the colour bar.
pub(super) fn scale_marks(limit: f64) -> Marks {
    Marks::covering(-limit, limit, 7)
}
