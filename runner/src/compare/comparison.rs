//! The comparison of two sweeps.

use std::collections::BTreeMap;

use offmodel_analysis::{Bootstrap, bootstrap_mean};
use serde::Serialize;
use serde_json::Value;

use super::matching::{MatchedPair, integer_labels, matching_pairs, varying_parameters};
use super::{CollectedSweep, CollectedTrial, ITEM, Pairs, SEED, pair};
use crate::assignment::Assignment;
use crate::store::{TrialStatus, TrialSummary};

/// The labels of a row: column or parameter, and value.
pub(super) type Labels = BTreeMap<String, String>;

/// The differences between two sweeps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Format version.
    pub version: u64,
    /// The name of the first sweep.
    pub a: String,
    /// The name of the second sweep.
    pub b: String,
    /// The parameters by which trials were paired.
    pub paired_by: Vec<String>,
    /// The number of pairs.
    pub pairs: usize,
    /// The number of pairs whose values were compared: both trials succeeded and recorded the same
    /// rows.
    pub compared: usize,
    /// Trials of A without a partner.
    pub only_a: Vec<Assignment>,
    /// Trials of B without a partner.
    pub only_b: Vec<Assignment>,
    /// Trials with more than one possible partner.
    pub ambiguous: Vec<Assignment>,
    /// Pairs that were not compared because their rows differ.
    pub other_rows: Vec<Assignment>,
    /// Pairs whose trials have different statuses.
    #[serde(rename = "standings")]
    pub status_changes: Vec<StatusChange>,
    /// The mean seconds of a trial in A and B, over pairs that succeeded in both.
    pub seconds: Option<(f64, f64)>,
    /// The number of compared values.
    pub values: usize,
    /// The number of values that differ.
    pub changed_values: usize,
    /// The number of pairs with a value that differs.
    pub changed_trials: usize,
    /// What the bootstrap resampled, in words.
    pub resampled: String,
    /// The mean changes.
    pub groups: Vec<Group>,
    /// Every value that differs.
    pub changes: Vec<Change>,
}

/// A pair whose trials have different statuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusChange {
    /// The pair's parameters.
    pub parameters: Assignment,
    /// The status in A, with the reason of a failure.
    pub a: String,
    /// The status in B, with the reason of a failure.
    pub b: String,
}

/// The mean change of a value over repetitions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The column of the value.
    pub value: String,
    /// The labels and parameters that the group's rows share.
    pub labels: Labels,
    /// The mean in A.
    pub a: f64,
    /// The mean in B.
    pub b: f64,
    /// The mean of B - A.
    pub change: f64,
    /// The bounds of the bootstrap interval of the change, if there are at least two units.
    pub interval: Option<(f64, f64)>,
    /// The number of units that were resampled.
    pub units: usize,
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The pair's parameters.
    pub parameters: Assignment,
    /// The labels of the row.
    pub labels: Labels,
    /// The column of the value.
    pub value: String,
    /// The value in A; none if it is missing or not finite.
    pub a: Option<f64>,
    /// The value in B; none if it is missing or not finite.
    pub b: Option<f64>,
}

/// Compares two sweeps. `item` names the column that distinguishes items; by default, [`ITEM`].
pub fn compare(a: &CollectedSweep, b: &CollectedSweep, item: Option<&str>) -> Comparison {
    let pairs = pair(a, b);
    let matching = matching_pairs(&pairs);
    let values = compare_values(&matching.pairs, item.unwrap_or(ITEM));
    let parameters = |trials: &[&CollectedTrial]| -> Vec<Assignment> {
        trials.iter().map(|trial| shown_parameters(trial)).collect()
    };
    Comparison {
        version: 1,
        a: a.name.clone(),
        b: b.name.clone(),
        paired_by: pairs.by.clone(),
        pairs: pairs.pairs.len(),
        compared: matching.pairs.len(),
        only_a: parameters(&pairs.only_a),
        only_b: parameters(&pairs.only_b),
        ambiguous: parameters(&pairs.ambiguous),
        other_rows: parameters(&matching.other_rows),
        status_changes: status_changes(&pairs),
        seconds: mean_seconds(&pairs),
        values: values.count,
        changed_values: values.changes.len(),
        changed_trials: values.changed_pairs,
        resampled: values.resampled,
        groups: values.groups,
        changes: values.changes,
    }
}

/// The result of comparing the values of all matching pairs.
struct ComparedValues {
    count: usize,
    changed_pairs: usize,
    changes: Vec<Change>,
    groups: Vec<Group>,
    resampled: String,
}

fn compare_values(matching: &[MatchedPair<'_>], item: &str) -> ComparedValues {
    let label_columns = integer_labels(matching);
    let group_parameters: Vec<String> = varying_parameters(matching)
        .into_iter()
        .filter(|name| name != SEED)
        .collect();
    let mut samples: BTreeMap<(String, Labels), Samples> = BTreeMap::new();
    let mut changes: Vec<Change> = Vec::new();
    let (mut count, mut changed_pairs, mut has_items) = (0, 0, false);
    for (position, pair) in matching.iter().enumerate() {
        let changes_before = changes.len();
        for row in 0..pair.a.height {
            let labels = pair.labels(row, &label_columns);
            let mut group = labels.clone();
            let item = group.remove(item);
            has_items |= item.is_some();
            let unit = item.unwrap_or_else(|| position.to_string());
            for name in &group_parameters {
                if let Some(value) = pair.parameters.get(name) {
                    group.insert(name.clone(), plain_text(value));
                }
            }
            for (name, a, b) in pair.values(row, &label_columns) {
                count += 1;
                if a != b {
                    changes.push(Change {
                        parameters: pair.parameters.clone(),
                        labels: labels.clone(),
                        value: name.to_owned(),
                        a,
                        b,
                    });
                }
                if let (Some(a), Some(b)) = (a, b) {
                    let samples = samples.entry((name.to_owned(), group.clone())).or_default();
                    samples.add(&unit, a, b);
                }
            }
        }
        changed_pairs += usize::from(changes.len() > changes_before);
    }
    ComparedValues {
        count,
        changed_pairs,
        changes,
        groups: samples
            .into_iter()
            .map(|((value, labels), samples)| samples.into_group(value, labels))
            .collect(),
        resampled: if has_items {
            format!("items (column `{item}`), averaged over seeds")
        } else {
            "pairs of trials, that is, seeds".to_owned()
        },
    }
}

/// The values of a group in A and B, by the unit that is resampled: an item or a pair.
#[derive(Debug, Default)]
struct Samples(BTreeMap<String, Vec<(f64, f64)>>);

impl Samples {
    fn add(&mut self, unit: &str, a: f64, b: f64) {
        self.0.entry(unit.to_owned()).or_default().push((a, b));
    }

    fn into_group(self, value: String, labels: Labels) -> Group {
        let units: Vec<(f64, f64)> = self.0.values().map(|values| means(values)).collect();
        let (a, b) = means(&units);
        let differences: Vec<f64> = units.iter().map(|(a, b)| b - a).collect();
        // Fails for a single unit, which cannot be resampled.
        let estimate = bootstrap_mean(&differences, &Bootstrap::default()).ok();
        Group {
            value,
            labels,
            a,
            b,
            change: differences.iter().sum::<f64>() / units.len() as f64,
            interval: estimate.map(|estimate| (estimate.interval.low, estimate.interval.high)),
            units: units.len(),
        }
    }
}

/// The mean of A and of B.
fn means(values: &[(f64, f64)]) -> (f64, f64) {
    let count = values.len() as f64;
    let (a, b) = values
        .iter()
        .fold((0.0, 0.0), |(a, b), value| (a + value.0, b + value.1));
    (a / count, b / count)
}

fn status_changes(pairs: &Pairs<'_>) -> Vec<StatusChange> {
    pairs
        .pairs
        .iter()
        .map(|(a, b)| StatusChange {
            parameters: shown_parameters(a),
            a: status_text(&a.summary),
            b: status_text(&b.summary),
        })
        .filter(|change| change.a != change.b)
        .collect()
}

fn status_text(summary: &TrialSummary) -> String {
    let cause = summary
        .result
        .as_ref()
        .and_then(|result| result.cause.as_ref());
    match (summary.status, cause) {
        (TrialStatus::New, _) => "not run".to_owned(),
        (TrialStatus::Failed, Some(cause)) => format!("failed: {cause}"),
        (status, _) => status.to_string(),
    }
}

fn mean_seconds(pairs: &Pairs<'_>) -> Option<(f64, f64)> {
    let success = |trial: &CollectedTrial| trial.summary.clone().into_success();
    let times: Vec<(f64, f64)> = pairs
        .pairs
        .iter()
        .filter_map(|(a, b)| Some((success(a)?.seconds, success(b)?.seconds)))
        .collect();
    (!times.is_empty()).then(|| means(&times))
}

/// The parameters that identify a trial for a reader: its overrides, or all if it has none.
fn shown_parameters(trial: &CollectedTrial) -> Assignment {
    if trial.trial.overrides.is_empty() {
        trial.trial.parameters.clone()
    } else {
        trial.trial.overrides.clone()
    }
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
