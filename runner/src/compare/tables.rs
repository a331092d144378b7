use std::collections::BTreeMap;

use polars::prelude::{DataFrame, PolarsResult, df};

use super::{Change, Group};
use crate::assignment::described;

/// The mean changes as a frame: a row for each group.
///
/// # Errors
/// When polars cannot make it.
pub fn groups_table(groups: &[Group]) -> PolarsResult<DataFrame> {
    let of = |value: fn(&Group) -> f64| groups.iter().map(value).collect::<Vec<f64>>();
    let bound = |bound: fn((f64, f64)) -> f64| {
        let bounds = groups.iter().map(|group| group.interval.map(bound));
        bounds.collect::<Vec<Option<f64>>>()
    };
    df!(
        "value" => groups.iter().map(|group| group.value.clone()).collect::<Vec<_>>(),
        "group" => groups.iter().map(|group| labelled(&group.labels)).collect::<Vec<_>>(),
        "A" => of(|group| group.a),
        "B" => of(|group| group.b),
        "change" => of(|group| group.change),
        "low" => bound(|(low, _)| low),
        "high" => bound(|(_, high)| high),
        "units" => groups.iter().map(|group| group.units as u64).collect::<Vec<_>>(),
    )
}

/// Every value that differs as a frame, the largest change first.
///
/// # Errors
/// When polars cannot make it.
pub fn changes_table(changes: &[Change]) -> PolarsResult<DataFrame> {
    let difference = |change: &Change| Some(change.b? - change.a?);
    let mut changes: Vec<&Change> = changes.iter().collect();
    // What appeared or vanished comes before all numbers.
    let size = |change: &&Change| difference(change).map_or(f64::INFINITY, f64::abs);
    changes.sort_by(|left, right| size(right).total_cmp(&size(left)));
    let texts = |text: &dyn Fn(&Change) -> String| -> Vec<String> {
        changes.iter().map(|change| text(change)).collect()
    };
    let numbers = |number: &dyn Fn(&Change) -> Option<f64>| -> Vec<Option<f64>> {
        changes.iter().map(|change| number(change)).collect()
    };
    df!(
        "trial" => texts(&|change| described(&change.parameters)),
        "row" => texts(&|change| labelled(&change.labels)),
        "value" => texts(&|change| change.value.clone()),
        "A" => numbers(&|change| change.a),
        "B" => numbers(&|change| change.b),
        "change" => numbers(&difference),
    )
}

fn labelled(labels: &BTreeMap<String, String>) -> String {
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
