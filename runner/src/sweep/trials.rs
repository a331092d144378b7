//! Expands a sweep file into trials.

use std::cmp::Reverse;
use std::collections::HashSet;

use offmodel_cells::parameters::Parameter;
use serde_json::Value;

use super::{
    DataHashes, DataPath, DataSource, ParameterValue, Row, SpecError, SweepSpec, trial_id,
};
use crate::assignment::{Assignment, check_value, with_defaults};
use crate::store::DataError;

/// A sweep with more trials is taken for a mistake.
const MAX_TRIALS: usize = 1_000_000;

/// One assignment of parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The trial's name: see [`trial_id`].
    pub id: String,
    /// The values that the sweep file sets, which the program reads at run time.
    pub overrides: Assignment,
    /// The overrides, and the defaults that are literals.
    pub parameters: Assignment,
    /// The hashes of the data that the trial reads.
    pub data: DataHashes,
    /// Trials with a higher priority run first.
    pub priority: i64,
}

/// The trials of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Trials {
    /// The distinct trials: by falling priority, then in the order of the file, the last factor
    /// varying fastest.
    pub list: Vec<Trial>,
    /// How many combinations repeated an earlier one.
    pub merged: usize,
    /// How many trials `exclude` removed.
    pub excluded: usize,
}

/// Forms all combinations of a sweep's factors, with every value checked against the notebook's
/// parameters. `data_hash` returns the hash of data by its path.
///
/// # Errors
/// [`SpecError`] with the place in the sweep file, if a parameter does not exist, a value has
/// another type, data cannot be read, or there are too many trials or none.
pub fn expand_trials(
    spec: &SweepSpec,
    parameters: &[Parameter],
    code_hash: &str,
    data_hash: &mut dyn FnMut(&str) -> Result<String, DataError>,
) -> Result<Trials, SpecError> {
    let combinations = combinations(spec, parameters)?;
    let mut trials = distinct(combinations, parameters);
    exclude(spec, parameters, &mut trials)?;
    for trial in &mut trials.list {
        trial.data = data_of(&spec.data, &trial.parameters, data_hash)?;
        trial.id = trial_id(code_hash, &trial.parameters, &trial.data);
    }
    for rule in &spec.policy.rules {
        let when = checked_row(parameters, &rule.when)?;
        for trial in &mut trials.list {
            if matches(trial, &when) {
                trial.priority = rule.priority;
            }
        }
    }
    // The sort is stable: trials of equal priority keep the order of the file.
    trials.list.sort_by_key(|trial| Reverse(trial.priority));
    Ok(trials)
}

fn combinations(spec: &SweepSpec, parameters: &[Parameter]) -> Result<Vec<Assignment>, SpecError> {
    let mut combinations = vec![checked_row(parameters, &spec.parameters)?];
    let count = spec.factors.iter().try_fold(1_usize, |count, factor| {
        count.checked_mul(factor.rows.len())
    });
    if count.is_none_or(|count| count > MAX_TRIALS) {
        return Err(SpecError::TooMany {
            location: spec.location.clone(),
            limit: MAX_TRIALS,
        });
    }
    for factor in &spec.factors {
        let rows = checked_rows(parameters, &factor.rows)?;
        combinations = combinations
            .iter()
            .flat_map(|assignment| rows.iter().map(|row| extended(assignment, row)))
            .collect();
    }
    Ok(combinations)
}

/// One trial for each distinct assignment, still without data and id.
fn distinct(combinations: Vec<Assignment>, parameters: &[Parameter]) -> Trials {
    let count = combinations.len();
    let mut seen = HashSet::new();
    let list: Vec<Trial> = combinations
        .into_iter()
        .map(|overrides| Trial {
            id: String::new(),
            parameters: with_defaults(parameters, &overrides),
            overrides,
            data: DataHashes::new(),
            priority: 0,
        })
        .filter(|trial| seen.insert(trial_id("", &trial.parameters, &trial.data)))
        .collect();
    Trials {
        merged: count - list.len(),
        excluded: 0,
        list,
    }
}

fn exclude(
    spec: &SweepSpec,
    parameters: &[Parameter],
    trials: &mut Trials,
) -> Result<(), SpecError> {
    let rows = checked_rows(parameters, &spec.exclude)?;
    let count = trials.list.len();
    trials
        .list
        .retain(|trial| !rows.iter().any(|row| matches(trial, row)));
    trials.excluded = count - trials.list.len();
    match spec.exclude.iter().flatten().next() {
        Some(first) if trials.list.is_empty() => Err(SpecError::NothingLeft {
            location: first.location.clone(),
        }),
        _ => Ok(()),
    }
}

fn checked_rows(parameters: &[Parameter], rows: &[Row]) -> Result<Vec<Assignment>, SpecError> {
    rows.iter()
        .map(|row| checked_row(parameters, row))
        .collect()
}

fn checked_row(parameters: &[Parameter], row: &[ParameterValue]) -> Result<Assignment, SpecError> {
    row.iter()
        .map(
            |ParameterValue {
                 name,
                 value,
                 location,
             }| {
                let value = check_value(parameters, name, value).map_err(|source| {
                    SpecError::Assignment {
                        location: location.clone(),
                        source,
                    }
                })?;
                Ok((name.clone(), value))
            },
        )
        .collect()
}

fn extended(assignment: &Assignment, row: &Assignment) -> Assignment {
    let mut extended = assignment.clone();
    extended.extend(row.clone());
    extended
}

/// Whether a trial has all of these values, set or by default.
fn matches(trial: &Trial, row: &Assignment) -> bool {
    row.iter()
        .all(|(name, value)| trial.parameters.get(name) == Some(value))
}

/// The hashes of the data that a trial with these parameters reads.
fn data_of(
    sources: &[DataSource],
    parameters: &Assignment,
    hash: &mut dyn FnMut(&str) -> Result<String, DataError>,
) -> Result<DataHashes, SpecError> {
    let mut data = DataHashes::new();
    for source in sources {
        for path in paths(source, parameters)? {
            let hash = hash(path).map_err(|error| SpecError::Data {
                location: source.location.clone(),
                source: error,
            })?;
            data.insert(path.to_owned(), hash);
        }
    }
    Ok(data)
}

fn paths<'a>(
    source: &'a DataSource,
    parameters: &'a Assignment,
) -> Result<Vec<&'a str>, SpecError> {
    let name = match &source.path {
        DataPath::Fixed(path) => return Ok(vec![path]),
        DataPath::Parameter(name) => name,
    };
    let no_path = |found: String| SpecError::NoPath {
        location: source.location.clone(),
        name: name.clone(),
        found,
    };
    match parameters.get(name) {
        None => Err(no_path(
            "no such parameter, or a default that is known only at run time".to_owned(),
        )),
        Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(path)) => Ok(vec![path]),
        Some(Value::Array(paths)) => paths
            .iter()
            .map(|path| path.as_str().ok_or_else(|| no_path(path.to_string())))
            .collect(),
        Some(other) => Err(no_path(other.to_string())),
    }
}

#[cfg(test)]
mod tests;
