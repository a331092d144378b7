//! What the caller says about a heatmap.

/// Which columns of a frame are drawn, and how they are called.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatmapAxes {
    pub(super) rows: String,
    pub(super) columns: String,
    pub(super) value: String,
    pub(super) value_label: String,
    pub(super) title: String,
    pub(super) panels: Option<String>,
    pub(super) limit: Option<f64>,
    pub(super) decimals: usize,
}

impl HeatmapAxes {
    /// A cell per pair of labels in the columns `rows` and `columns` of a frame, coloured by its column `value`.
    #[must_use]
    pub fn new(rows: &str, columns: &str, value: &str) -> Self {
        Self {
            rows: rows.to_owned(),
            columns: columns.to_owned(),
            value: value.to_owned(),
            value_label: value.to_owned(),
            title: String::new(),
            panels: None,
            limit: None,
            decimals: 2,
        }
    }

    /// What the colours mean, written beside the scale.
    #[must_use]
    pub fn value_label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.value_label);
        self
    }

    /// Title of the figure.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// Column by whose values the frame is split into panels.
    #[must_use]
    pub fn panel_by(mut self, column: &str) -> Self {
        self.panels = Some(column.to_owned());
        self
    }

    /// Absolute value at which the colours saturate, to give several figures one scale. Without it the largest
    /// absolute value, rounded up.
    #[must_use]
    pub fn limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Decimals of the numbers in the cells (2 without it).
    #[must_use]
    pub fn decimals(mut self, decimals: usize) -> Self {
        self.decimals = decimals.min(6);
        self
    }
}
