//! The section of a report about the changes since an earlier sweep.

use std::path::Path;

use offmodel_analysis::{BarAxes, Figure, grouped_bars};
use polars::prelude::{DataFrame, IntoLazy, PolarsError, col, lit};

use crate::compare::{CollectedSweep, Comparison, changes_table, compare, groups_table};
use crate::error::RunnerError;

/// Figures in the section: one for each of the first columns that changed.
const MAX_FIGURES: usize = 4;

/// What a report says about the changes since an earlier sweep.
#[derive(Debug, Clone, Default)]
pub struct ComparisonSection {
    /// The heading of the section.
    pub heading: String,
    /// What was compared and how, in sentences.
    pub summary: Vec<String>,
    /// Figures of the mean changes.
    pub figures: Vec<Figure>,
    /// Tables with their captions.
    pub tables: Vec<(String, DataFrame)>,
}

impl ComparisonSection {
    /// Compares the earlier sweep `a` with the sweep `b`, whose folder is `path`.
    ///
    /// # Errors
    /// [`RunnerError::Read`], if polars cannot make a table.
    pub fn new(a: &CollectedSweep, b: &CollectedSweep, path: &Path) -> Result<Self, RunnerError> {
        let comparison = compare(a, b, None);
        let failed = |error: PolarsError| RunnerError::Read {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let groups = groups_table(&comparison.groups).map_err(failed)?;
        let changes = changes_table(&comparison.changes).map_err(failed)?;
        let figures = changed_values(&comparison)
            .into_iter()
            .filter_map(|value| change_figure(&groups, &value))
            .take(MAX_FIGURES)
            .collect();
        let tables = [
            ("Mean changes, B - A", groups),
            ("Values that differ, the largest changes first", changes),
        ];
        Ok(Self {
            heading: format!("Compared with {}", a.name),
            summary: comparison.summary(),
            figures,
            tables: tables
                .into_iter()
                .filter(|(_, table)| table.height() > 0)
                .map(|(caption, table)| (caption.to_owned(), table))
                .collect(),
        })
    }
}

/// The columns whose mean changed in any group, in the order of the groups.
fn changed_values(comparison: &Comparison) -> Vec<String> {
    let mut values: Vec<String> = comparison
        .groups
        .iter()
        .filter(|group| group.change != 0.0)
        .map(|group| group.value.clone())
        .collect();
    values.dedup();
    values
}

/// The mean changes of one column; none if there are more groups than a figure can show.
fn change_figure(groups: &DataFrame, value: &str) -> Option<Figure> {
    let rows = groups.clone().lazy().filter(col("value").eq(lit(value)));
    let axes = BarAxes::new("group", "change")
        .interval("low", "high")
        .x_label("")
        .y_label(&format!("change of {value}, B - A"))
        .title(&format!("Change of {value}"));
    grouped_bars(&rows.collect().ok()?, &axes).ok()
}
