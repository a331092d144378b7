//! Matches the rows of paired trials.

use std::collections::BTreeSet;

use super::comparison::Labels;
use super::{CollectedTrial, ComparableFrame, Pairs};
use crate::assignment::Assignment;

/// A pair of trials with the same rows.
pub(super) struct MatchedPair<'a> {
    /// The parameters that both sweeps have.
    pub(super) parameters: Assignment,
    pub(super) a: &'a ComparableFrame,
    pub(super) b: &'a ComparableFrame,
}

/// The pairs that recorded frames in both sweeps.
pub(super) struct Matching<'a> {
    pub(super) pairs: Vec<MatchedPair<'a>>,
    /// The trials of A whose rows differ from those of their partners.
    pub(super) other_rows: Vec<&'a CollectedTrial>,
}

/// The pairs with the same labels in every row.
pub(super) fn matching_pairs<'a>(pairs: &Pairs<'a>) -> Matching<'a> {
    let mut matching = Matching {
        pairs: Vec::new(),
        other_rows: Vec::new(),
    };
    for (trial, partner) in &pairs.pairs {
        let (Some(a), Some(b)) = (&trial.frame, &partner.frame) else {
            continue;
        };
        if a.height != b.height || !has_equal_labels(a, b) {
            matching.other_rows.push(*trial);
            continue;
        }
        let parameters = trial.trial.parameters.iter();
        matching.pairs.push(MatchedPair {
            parameters: parameters
                .filter(|(name, _)| pairs.by.contains(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            a,
            b,
        });
    }
    matching
}

/// Whether the label columns that both frames have are equal.
fn has_equal_labels(a: &ComparableFrame, b: &ComparableFrame) -> bool {
    a.labels.iter().all(|(name, values)| {
        let other = b.labels.iter().find(|(own, _)| own == name);
        other.is_none_or(|(_, others)| values == others)
    })
}

/// The columns of integers that label rows: equal in both sweeps, but not in all rows of a trial.
pub(super) fn integer_labels(pairs: &[MatchedPair<'_>]) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    let names: BTreeSet<&String> = pairs
        .iter()
        .flat_map(|pair| pair.a.integers.iter().map(|(name, _)| name))
        .collect();
    for name in names {
        let columns = pairs.iter().filter_map(|pair| {
            let (_, a) = pair.a.integers.iter().find(|(own, _)| own == name)?;
            Some((a, number_column(pair.b, name)))
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

/// The parameters that are not equal in all pairs.
pub(super) fn varying_parameters(pairs: &[MatchedPair<'_>]) -> Vec<String> {
    let Some(first) = pairs.first() else {
        return Vec::new();
    };
    first
        .parameters
        .iter()
        .filter(|(name, value)| {
            pairs
                .iter()
                .any(|pair| pair.parameters.get(*name) != Some(value))
        })
        .map(|(name, _)| name.clone())
        .collect()
}

impl MatchedPair<'_> {
    /// The labels of a row. `label_columns` are the columns of integers that label rows.
    pub(super) fn labels(&self, row: usize, label_columns: &BTreeSet<String>) -> Labels {
        let texts = self
            .a
            .labels
            .iter()
            .filter_map(|(name, values)| Some((name, values.get(row)?.clone())));
        let numbers = self
            .a
            .integers
            .iter()
            .filter(|(name, _)| label_columns.contains(name))
            .filter_map(|(name, values)| Some((name, values.get(row)?.as_ref()?.to_string())));
        texts
            .chain(numbers)
            // A change names the parameters of its pair anyway.
            .filter(|(name, _)| !self.parameters.contains_key(*name))
            .map(|(name, value)| (name.clone(), value))
            .collect()
    }

    /// The numbers of a row that both frames have and that are no labels: column, A, B.
    pub(super) fn values(
        &self,
        row: usize,
        label_columns: &BTreeSet<String>,
    ) -> impl Iterator<Item = (&str, Option<f64>, Option<f64>)> {
        let integers = self.a.integers.iter().zip(std::iter::repeat(true));
        let floats = self.a.floats.iter().zip(std::iter::repeat(false));
        integers
            .chain(floats)
            .filter(|((name, _), is_integer)| !(*is_integer && label_columns.contains(name)))
            .filter(|((name, _), _)| !self.parameters.contains_key(name))
            .filter_map(move |((name, a), _)| {
                let b = number_column(self.b, name)?;
                Some((name.as_str(), *a.get(row)?, *b.get(row)?))
            })
    }
}

fn number_column<'a>(frame: &'a ComparableFrame, name: &str) -> Option<&'a Vec<Option<f64>>> {
    frame
        .integers
        .iter()
        .chain(&frame.floats)
        .find(|(own, _)| own == name)
        .map(|(_, values)| values)
}
