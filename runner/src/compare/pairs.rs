//! Pairs the trials of two sweeps.

use std::collections::{BTreeMap, BTreeSet};

use super::{CollectedSweep, CollectedTrial};
use crate::assignment::Assignment;

/// The trials of two sweeps, paired.
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    /// The parameters by which trials are paired: those of both sweeps.
    pub by: Vec<String>,
    /// Pairs of a trial of A and one of B.
    pub pairs: Vec<(&'a CollectedTrial, &'a CollectedTrial)>,
    /// Trials of A without a partner.
    pub only_a: Vec<&'a CollectedTrial>,
    /// Trials of B without a partner.
    pub only_b: Vec<&'a CollectedTrial>,
    /// Trials with more than one possible partner, because one sweep varies a parameter that the
    /// other does not have.
    pub ambiguous: Vec<&'a CollectedTrial>,
}

/// Pairs trials whose common parameters have equal values.
pub fn pair<'a>(a: &'a CollectedSweep, b: &'a CollectedSweep) -> Pairs<'a> {
    let by: Vec<String> = names(a).intersection(&names(b)).cloned().collect();
    let (mut of_a, mut of_b) = (keyed(a, &by), keyed(b, &by));
    let mut pairs = Pairs {
        by,
        pairs: Vec::new(),
        only_a: Vec::new(),
        only_b: Vec::new(),
        ambiguous: Vec::new(),
    };
    for trial in &a.trials {
        let key = key(trial, &pairs.by);
        let Some(here) = of_a.remove(&key) else {
            continue;
        };
        match (&here[..], of_b.remove(&key).unwrap_or_default().as_slice()) {
            ([one], [other]) => pairs.pairs.push((one, other)),
            (all, []) => pairs.only_a.extend(all),
            (these, those) => pairs.ambiguous.extend(these.iter().chain(those)),
        }
    }
    for trial in &b.trials {
        let left = of_b.remove(&key(trial, &pairs.by));
        pairs.only_b.extend(left.into_iter().flatten());
    }
    pairs
}

/// The names of all parameters of a sweep.
fn names(sweep: &CollectedSweep) -> BTreeSet<String> {
    sweep
        .trials
        .iter()
        .flat_map(|trial| trial.trial.parameters.keys().cloned())
        .collect()
}

/// The trials of a sweep by [`key`].
fn keyed<'a>(
    sweep: &'a CollectedSweep,
    by: &[String],
) -> BTreeMap<String, Vec<&'a CollectedTrial>> {
    let mut keyed: BTreeMap<String, Vec<&CollectedTrial>> = BTreeMap::new();
    for trial in &sweep.trials {
        keyed.entry(key(trial, by)).or_default().push(trial);
    }
    keyed
}

/// The values of the parameters `by`, as text.
fn key(trial: &CollectedTrial, by: &[String]) -> String {
    let parameters = &trial.trial.parameters;
    let shared: Assignment = by
        .iter()
        .filter_map(|name| Some((name.clone(), parameters.get(name)?.clone())))
        .collect();
    serde_json::json!(shared).to_string()
}
