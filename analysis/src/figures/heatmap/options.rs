use crate::figures::options::{Options, builder_methods};

/// Most decimals of the numbers in the cells.
const MAX_DECIMALS: usize = 6;

/// The columns and options of [`heatmap`](super::heatmap).
#[derive(Clone, Debug, PartialEq)]
pub struct HeatmapAxes {
    /// Labels of the columns of cells on the x axis, of the rows on the y axis.
    pub(super) options: Options,
    /// The column of the values in the cells.
    pub(super) value: String,
    pub(super) value_label: String,
    /// The column whose values split the figure into panels.
    pub(super) panels: Option<String>,
    pub(super) limit: Option<f64>,
    pub(super) decimals: usize,
}

impl HeatmapAxes {
    /// A cell per pair of labels in the columns `rows` and `columns` of a frame, coloured by the
    /// frame's column `value`.
    #[must_use]
    pub fn new(rows: &str, columns: &str, value: &str) -> Self {
        Self {
            options: Options::new(columns, rows),
            value: value.to_owned(),
            value_label: value.to_owned(),
            panels: None,
            limit: None,
            decimals: 2,
        }
    }

    /// Sets the label of the colour scale; the default is the name of the value's column.
    #[must_use]
    pub fn value_label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.value_label);
        self
    }

    /// Splits the figure into panels, one per value of `column`.
    #[must_use]
    pub fn panel_by(mut self, column: &str) -> Self {
        self.panels = Some(column.to_owned());
        self
    }

    /// Sets the absolute value at which the colours saturate, which gives several figures the same
    /// scale. The default is the largest absolute value, rounded up.
    #[must_use]
    pub fn limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets the number of decimals in the cells, at most 6; the default is 2.
    #[must_use]
    pub fn decimals(mut self, decimals: usize) -> Self {
        self.decimals = decimals.min(MAX_DECIMALS);
        self
    }
}

builder_methods!(HeatmapAxes: x_label, y_label, title);
