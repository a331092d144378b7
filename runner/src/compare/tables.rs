//! Tables of a comparison.

use polars::prelude::{DataFrame, PolarsResult, df};

use super::comparison::Labels;
use super::{Change, Group};
use crate::assignment::describe;

/// The mean changes, one row per group.
///
/// # Errors
/// An error of polars.
pub fn groups_table(groups: &[Group]) -> PolarsResult<DataFrame> {
    let of = |value: fn(&Group) -> f64| groups.iter().map(value).collect::<Vec<f64>>();
    let bound = |bound: fn((f64, f64)) -> f64| {
        let bounds = groups.iter().map(|group| group.interval.map(bound));
        bounds.collect::<Vec<Option<f64>>>()
    };
    df!(
        "value" => groups.iter().map(|group| group.value.clone()).collect::<Vec<_>>(),
        "group" => groups.iter().map(|group| label_text(&group.labels)).collect::<Vec<_>>(),
        "A" => of(|group| group.a),
        "B" => of(|group| group.b),
        "change" => of(|group| group.change),
        "low" => bound(|(low, _)| low),
        "high" => bound(|(_, high)| high),
        "units" => groups.iter().map(|group| group.units as u64).collect::<Vec<_>>(),
    )
}

/// The values that differ, the largest change first.
///
/// # Errors
/// An error of polars.
pub fn changes_table(changes: &[Change]) -> PolarsResult<DataFrame> {
    let difference = |change: &Change| Some(change.b? - change.a?);
    let mut changes: Vec<&Change> = changes.iter().collect();
    // A value that appeared or disappeared comes before all changes of numbers.
    let size = |change: &&Change| difference(change).map_or(f64::INFINITY, f64::abs);
    changes.sort_by(|left, right| size(right).total_cmp(&size(left)));
    let texts = |text: &dyn Fn(&Change) -> String| -> Vec<String> {
        changes.iter().map(|change| text(change)).collect()
    };
    let numbers = |number: &dyn Fn(&Change) -> Option<f64>| -> Vec<Option<f64>> {
        changes.iter().map(|change| number(change)).collect()
    };
    df!(
        "trial" => texts(&|change| describe(&change.parameters)),
        "row" => texts(&|change| label_text(&change.labels)),
        "value" => texts(&|change| change.value.clone()),
        "A" => numbers(&|change| change.a),
        "B" => numbers(&|change| change.b),
        "change" => numbers(&difference),
    )
}

fn label_text(labels: &Labels) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if labels.is_empty() {
        "all".to_owned()
    } else {
        labels.join(" ")
    }
}
