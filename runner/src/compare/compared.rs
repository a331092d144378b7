use std::collections::{BTreeMap, BTreeSet};

use offmodel_analysis::{Bootstrap, bootstrap_mean};
use serde::Serialize;
use serde_json::Value;

use super::{CollectedSweep, CollectedTrial, ITEM, Pairs, Recorded, SEED, pair};
use crate::assignment::Assignment;
use crate::store::Standing;

/// What two sweeps differ in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Of this structure.
    pub version: u64,
    /// The name of the first sweep.
    pub a: String,
    /// The name of the second sweep.
    pub b: String,
    /// The parameters by which trials were paired.
    pub paired_by: Vec<String>,
    /// Pairs of trials.
    pub pairs: usize,
    /// Pairs of which both succeeded and recorded the same rows: those whose values were compared.
    pub compared: usize,
    /// Trials of A without a partner.
    pub only_a: Vec<Assignment>,
    /// Trials of B without a partner.
    pub only_b: Vec<Assignment>,
    /// Trials with more than one possible partner.
    pub ambiguous: Vec<Assignment>,
    /// Pairs whose rows do not match, which were left out.
    pub other_rows: Vec<Assignment>,
    /// Pairs of which one stands elsewhere than the other.
    pub standings: Vec<StandingChange>,
    /// Mean seconds of the pairs that succeeded in both: A, B.
    pub seconds: Option<(f64, f64)>,
    /// How many values were compared.
    pub values: usize,
    /// How many of them differ.
    pub changed_values: usize,
    /// In how many pairs.
    pub changed_trials: usize,
    /// What was resampled for the intervals.
    pub resampled: String,
    /// Mean changes.
    pub groups: Vec<Group>,
    /// Every value that differs.
    pub changes: Vec<Change>,
}

/// A pair whose trials ended differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StandingChange {
    /// The pair's parameters.
    pub parameters: Assignment,
    /// Where it stands in A.
    pub a: String,
    /// Where it stands in B.
    pub b: String,
}

/// The mean change of one value over repetitions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The column.
    pub value: String,
    /// The labels and parameters that its rows share.
    pub labels: BTreeMap<String, String>,
    /// Mean in A.
    pub a: f64,
    /// Mean in B.
    pub b: f64,
    /// Mean of B - A.
    pub change: f64,
    /// The bootstrap interval's bounds, if there is more than one unit.
    pub interval: Option<(f64, f64)>,
    /// How many units were resampled.
    pub units: usize,
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The pair's parameters.
    pub parameters: Assignment,
    /// The labels of the row.
    pub labels: BTreeMap<String, String>,
    /// The column.
    pub value: String,
    /// In A; nothing where there is no finite number.
    pub a: Option<f64>,
    /// In B.
    pub b: Option<f64>,
}

/// Compares two sweeps; `item` names the column that tells items apart, `item` if nothing is
/// given.
pub fn compare(a: &CollectedSweep, b: &CollectedSweep, item: Option<&str>) -> Compared {
    let item = item.unwrap_or(ITEM);
    let pairs = pair(a, b);
    let parameters = |trials: &[&CollectedTrial]| -> Vec<Assignment> {
        trials.iter().map(|trial| shown(trial)).collect()
    };
    let mut compared = Compared {
        version: 1,
        a: a.name.clone(),
        b: b.name.clone(),
        paired_by: pairs.by.clone(),
        pairs: pairs.pairs.len(),
        compared: 0,
        only_a: parameters(&pairs.only_a),
        only_b: parameters(&pairs.only_b),
        ambiguous: parameters(&pairs.ambiguous),
        other_rows: Vec::new(),
        standings: standings(&pairs),
        seconds: seconds(&pairs),
        values: 0,
        changed_values: 0,
        changed_trials: 0,
        resampled: String::new(),
        groups: Vec::new(),
        changes: Vec::new(),
    };
    let matching = matching(&pairs, &mut compared.other_rows);
    compared.compared = matching.len();
    let labels = integer_labels(&matching);
    let varying = varying_parameters(&matching);
    let mut samples: BTreeMap<(String, BTreeMap<String, String>), Samples> = BTreeMap::new();
    let mut has_items = false;
    for (position, matched) in matching.iter().enumerate() {
        let before = compared.changes.len();
        for row in 0..matched.a.height {
            let row_labels = matched.labels(row, &labels);
            let mut group = row_labels.clone();
            let unit = match group.remove(item) {
                Some(item) => {
                    has_items = true;
                    item
                }
                None => position.to_string(),
            };
            for name in &varying {
                if let Some(value) = matched.parameters.get(name).filter(|_| name != SEED) {
                    group.insert(name.clone(), plain(value));
                }
            }
            for (name, a, b) in matched.values(row, &labels) {
                compared.values += 1;
                if a != b {
                    compared.changes.push(Change {
                        parameters: matched.parameters.clone(),
                        labels: row_labels.clone(),
                        value: name.to_owned(),
                        a,
                        b,
                    });
                }
                if let (Some(a), Some(b)) = (a, b) {
                    let samples = samples.entry((name.to_owned(), group.clone())).or_default();
                    samples.0.entry(unit.clone()).or_default().push((a, b));
                }
            }
        }
        compared.changed_trials += usize::from(compared.changes.len() > before);
    }
    compared.changed_values = compared.changes.len();
    compared.resampled = if has_items {
        format!("items (column `{item}`), averaged over seeds")
    } else {
        "pairs of trials, that is, seeds".to_owned()
    };
    compared.groups = samples
        .into_iter()
        .map(|((value, labels), samples)| samples.group(value, labels))
        .collect();
    compared
}

/// The values of one group in A and B, by what is resampled.
#[derive(Debug, Default)]
struct Samples(BTreeMap<String, Vec<(f64, f64)>>);

impl Samples {
    fn group(&self, value: String, labels: BTreeMap<String, String>) -> Group {
        let units: Vec<(f64, f64)> = self
            .0
            .values()
            .map(|values| {
                let count = values.len() as f64;
                let (a, b) = values
                    .iter()
                    .fold((0.0, 0.0), |(a, b), value| (a + value.0, b + value.1));
                (a / count, b / count)
            })
            .collect();
        let mean =
            |of: fn(&(f64, f64)) -> f64| units.iter().map(of).sum::<f64>() / units.len() as f64;
        let differences: Vec<f64> = units.iter().map(|(a, b)| b - a).collect();
        // One unit has nothing to resample.
        let estimate = bootstrap_mean(&differences, &Bootstrap::default()).ok();
        Group {
            value,
            labels,
            a: mean(|unit| unit.0),
            b: mean(|unit| unit.1),
            change: mean(|unit| unit.1 - unit.0),
            interval: estimate.map(|estimate| (estimate.interval.low, estimate.interval.high)),
            units: units.len(),
        }
    }
}

/// A pair whose rows match.
struct Matched<'a> {
    parameters: Assignment,
    a: &'a Recorded,
    b: &'a Recorded,
}

impl Matched<'_> {
    fn labels(&self, row: usize, integers: &BTreeSet<String>) -> BTreeMap<String, String> {
        let texts = self
            .a
            .labels
            .iter()
            .filter_map(|(name, values)| Some((name, values.get(row)?.clone())));
        let numbers = self
            .a
            .integers
            .iter()
            .filter(|(name, _)| integers.contains(name))
            .filter_map(|(name, values)| Some((name, values.get(row)?.as_ref()?.to_string())));
        texts
            .chain(numbers)
            // The parameters are told with the pair.
            .filter(|(name, _)| !self.parameters.contains_key(*name))
            .map(|(name, value)| (name.clone(), value))
            .collect()
    }

    /// The numbers of a row that are in both frames and label nothing.
    fn values(
        &self,
        row: usize,
        labels: &BTreeSet<String>,
    ) -> impl Iterator<Item = (&str, Option<f64>, Option<f64>)> {
        let integers = self.a.integers.iter().zip(std::iter::repeat(true));
        let floats = self.a.floats.iter().zip(std::iter::repeat(false));
        integers
            .chain(floats)
            .filter(|((name, _), whole)| !(*whole && labels.contains(name)))
            .filter(|((name, _), _)| !self.parameters.contains_key(name))
            .filter_map(move |((name, a), _)| {
                let b = number_column(self.b, name)?;
                Some((name.as_str(), *a.get(row)?, *b.get(row)?))
            })
    }
}

fn number_column<'a>(recorded: &'a Recorded, name: &str) -> Option<&'a Vec<Option<f64>>> {
    recorded
        .integers
        .iter()
        .chain(&recorded.floats)
        .find(|(own, _)| own == name)
        .map(|(_, values)| values)
}

/// Pairs that succeeded in both and have the same labels in every row.
fn matching<'a>(pairs: &Pairs<'a>, other_rows: &mut Vec<Assignment>) -> Vec<Matched<'a>> {
    let mut matching = Vec::new();
    for (a, b) in &pairs.pairs {
        let (Some(of_a), Some(of_b)) = (&a.recorded, &b.recorded) else {
            continue;
        };
        let same_labels = of_a.labels.iter().all(|(name, values)| {
            let other = of_b.labels.iter().find(|(own, _)| own == name);
            other.is_none_or(|(_, others)| values == others)
        });
        if of_a.height == of_b.height && same_labels {
            let parameters = a
                .trial
                .parameters
                .iter()
                .filter(|(name, _)| pairs.by.contains(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            matching.push(Matched {
                parameters,
                a: of_a,
                b: of_b,
            });
        } else {
            other_rows.push(shown(a));
        }
    }
    matching
}

/// Columns of whole numbers that tell rows apart: the same in both sweeps, but not in all rows of
/// a trial.
fn integer_labels(matching: &[Matched<'_>]) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    let names: BTreeSet<&String> = matching
        .iter()
        .flat_map(|matched| matched.a.integers.iter().map(|(name, _)| name))
        .collect();
    for name in names {
        let columns = matching.iter().filter_map(|matched| {
            let (_, a) = matched.a.integers.iter().find(|(own, _)| own == name)?;
            Some((a, number_column(matched.b, name)))
        });
        let mut differs_by_row = false;
        let mut is_same = true;
        for (a, b) in columns {
            is_same &= b.is_none_or(|b| a == b);
            differs_by_row |= a.iter().any(|value| Some(value) != a.first());
        }
        if is_same && differs_by_row {
            labels.insert(name.clone());
        }
    }
    labels
}

/// Parameters that are not the same in all pairs.
fn varying_parameters(matching: &[Matched<'_>]) -> Vec<String> {
    let Some(first) = matching.first() else {
        return Vec::new();
    };
    first
        .parameters
        .iter()
        .filter(|(name, value)| {
            matching
                .iter()
                .any(|matched| matched.parameters.get(*name) != Some(value))
        })
        .map(|(name, _)| name.clone())
        .collect()
}

fn standings(pairs: &Pairs<'_>) -> Vec<StandingChange> {
    pairs
        .pairs
        .iter()
        .map(|(a, b)| StandingChange {
            parameters: shown(a),
            a: told(&a.standing),
            b: told(&b.standing),
        })
        .filter(|change| change.a != change.b)
        .collect()
}

fn told(standing: &Standing) -> String {
    match standing {
        Standing::New => "not run".to_owned(),
        Standing::Unfinished => "unfinished".to_owned(),
        Standing::Succeeded(_) => "succeeded".to_owned(),
        Standing::Failed(result) => match &result.cause {
            Some(cause) => format!("failed: {cause}"),
            None => "failed".to_owned(),
        },
        Standing::Cancelled(_) => "cancelled".to_owned(),
    }
}

fn seconds(pairs: &Pairs<'_>) -> Option<(f64, f64)> {
    let times: Vec<(f64, f64)> = pairs
        .pairs
        .iter()
        .filter_map(|(a, b)| match (&a.standing, &b.standing) {
            (Standing::Succeeded(a), Standing::Succeeded(b)) => Some((a.seconds, b.seconds)),
            _ => None,
        })
        .collect();
    let count = times.len() as f64;
    let sum = |of: fn(&(f64, f64)) -> f64| times.iter().map(of).sum::<f64>() / count;
    (!times.is_empty()).then(|| (sum(|time| time.0), sum(|time| time.1)))
}

/// What tells a trial apart for a reader: the values given to it, or all that are known.
fn shown(trial: &CollectedTrial) -> Assignment {
    if trial.trial.given.is_empty() {
        trial.trial.parameters.clone()
    } else {
        trial.trial.given.clone()
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
