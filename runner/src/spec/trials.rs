use offmodel_cells::parameters::Parameter;
use sha2::{Digest, Sha256};

use super::{Given, Row, SpecError, SweepSpec};
use crate::assignment::{Assignment, checked, with_defaults};

/// More trials than this are taken for a mistake.
const LIMIT: usize = 1_000_000;

/// One assignment of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Names it: a hash of the notebook's code and all its values.
    pub id: String,
    /// The values given to the program.
    pub given: Assignment,
    /// These and the defaults that are known without running.
    pub parameters: Assignment,
    /// Higher ones run first.
    pub priority: i64,
}

/// The trials of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Trials {
    /// Without repetition; the highest priority first, then in the order of the file, the last
    /// factor varying fastest.
    pub list: Vec<Trial>,
    /// How many were asked for more than once.
    pub merged: usize,
    /// How many `exclude` left out.
    pub excluded: usize,
}

/// Expands a sweep's factors, with every value checked against the notebook's parameters.
///
/// # Errors
/// When a parameter does not exist or a value has another type, with the value's place.
pub fn trials(
    spec: &SweepSpec,
    parameters: &[Parameter],
    code_hash: &str,
) -> Result<Trials, SpecError> {
    let mut shared = Assignment::new();
    for given in &spec.parameters {
        shared.insert(given.name.clone(), value(parameters, given)?);
    }
    let size = spec
        .factors
        .iter()
        .try_fold(1_usize, |size, factor| size.checked_mul(factor.rows.len()));
    if size.is_none_or(|size| size > LIMIT) {
        return Err(SpecError::TooMany {
            place: spec.place.clone(),
            limit: LIMIT,
        });
    }
    let mut assignments = vec![shared];
    for factor in &spec.factors {
        let rows = checked_rows(parameters, &factor.rows)?;
        assignments = assignments
            .iter()
            .flat_map(|assignment| rows.iter().map(|row| extended(assignment, row)))
            .collect();
    }
    let exclude = checked_rows(parameters, &spec.exclude)?;
    let mut trials = distinct(assignments, parameters, code_hash);
    let before = trials.list.len();
    trials
        .list
        .retain(|trial| !exclude.iter().any(|row| matches(trial, row)));
    trials.excluded = before - trials.list.len();
    if let (true, Some(given)) = (trials.list.is_empty(), spec.exclude.iter().flatten().next()) {
        return Err(SpecError::NothingLeft {
            place: given.place.clone(),
        });
    }
    for rule in &spec.policy.rules {
        let when = checked_row(parameters, &rule.when)?;
        for trial in &mut trials.list {
            if matches(trial, &when) {
                trial.priority = rule.priority;
            }
        }
    }
    // Stable: among equals, the order of the file.
    trials
        .list
        .sort_by_key(|trial| std::cmp::Reverse(trial.priority));
    Ok(trials)
}

fn checked_rows(parameters: &[Parameter], rows: &[Row]) -> Result<Vec<Assignment>, SpecError> {
    rows.iter()
        .map(|row| checked_row(parameters, row))
        .collect()
}

fn checked_row(parameters: &[Parameter], row: &Row) -> Result<Assignment, SpecError> {
    row.iter()
        .map(|given| Ok((given.name.clone(), value(parameters, given)?)))
        .collect()
}

fn extended(assignment: &Assignment, row: &Assignment) -> Assignment {
    let mut extended = assignment.clone();
    extended.extend(row.clone());
    extended
}

/// Whether a trial has all of these values, given or by default.
fn matches(trial: &Trial, row: &Assignment) -> bool {
    row.iter()
        .all(|(name, value)| trial.parameters.get(name) == Some(value))
}

fn value(parameters: &[Parameter], given: &Given) -> Result<serde_json::Value, SpecError> {
    checked(parameters, &given.name, &given.value).map_err(|source| SpecError::Assignment {
        place: given.place.clone(),
        source,
    })
}

fn distinct(assignments: Vec<Assignment>, parameters: &[Parameter], code_hash: &str) -> Trials {
    let asked = assignments.len();
    let mut seen = std::collections::HashSet::new();
    let list: Vec<Trial> = assignments
        .into_iter()
        .map(|given| {
            let parameters = with_defaults(parameters, &given);
            Trial {
                id: identity(code_hash, &parameters),
                given,
                parameters,
                priority: 0,
            }
        })
        .filter(|trial| seen.insert(trial.id.clone()))
        .collect();
    Trials {
        merged: asked - list.len(),
        excluded: 0,
        list,
    }
}

/// The hash that names a trial. Spelling a default out does not change it.
fn identity(code_hash: &str, parameters: &Assignment) -> String {
    let mut hash = Sha256::new();
    hash.update(b"offmodel trial 1");
    hash.update(code_hash.as_bytes());
    for (name, value) in parameters {
        for text in [name, &value.to_string()] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
    }
    format!("{:x}", hash.finalize())[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use offmodel_cells::parameters::parameters;

    use super::*;

    fn expand(grid: &str) -> Result<Trials, SpecError> {
        let text = format!("version = 1\nnotebook = \"x.ipynb\"\n{grid}");
        let spec = SweepSpec::parse(Path::new("n.toml"), &text)?;
        let cell = offmodel_cells::parse(
            "let seed: u64 = 1; let rate: f64 = 0.5; let data: String = \"on\".into();",
        );
        trials(&spec, &parameters(&cell.unwrap()).unwrap(), "code")
    }

    #[test]
    fn the_last_axis_varies_fastest() {
        let trials = expand("[grid]\ndata = [\"on\", \"off\"]\nseed = [1, 2]\n").unwrap();
        let told: Vec<_> = trials
            .list
            .iter()
            .map(|trial| format!("{} {}", trial.given["data"], trial.given["seed"]))
            .collect();
        assert_eq!(told, ["\"on\" 1", "\"on\" 2", "\"off\" 1", "\"off\" 2"]);
    }

    #[test]
    fn equal_values_in_other_spellings_are_one_trial() {
        let trials = expand("[grid]\nrate = [1, 1.0, 2]\n").unwrap();
        assert_eq!((trials.list.len(), trials.merged), (2, 1));
        let by_default = expand("").unwrap();
        let spelled_out = expand("[parameters]\nseed = 1\nrate = 0.5\ndata = \"on\"\n").unwrap();
        assert_eq!(by_default.list[0].id, spelled_out.list[0].id);
    }

    #[test]
    fn a_wrong_value_is_told_with_its_place_and_type() {
        assert_eq!(
            expand("[grid]\nseed = [1, \"two\"]\n")
                .unwrap_err()
                .to_string(),
            "n.toml, line 4, column 12: parameter `seed`: expected a non-negative integer (u64), found the string \"two\""
        );
        assert!(
            expand("[grid]\nsead = [1]\n")
                .unwrap_err()
                .to_string()
                .contains("no parameter `sead`; did you mean `seed`?; it has: seed, rate, data")
        );
    }

    fn told(text: &str, names: &[&str]) -> Vec<String> {
        let trials = expand(text).unwrap();
        let row = |trial: &Trial| {
            names
                .iter()
                .map(|name| trial.parameters[*name].to_string())
                .collect::<Vec<_>>()
        };
        trials
            .list
            .iter()
            .map(|trial| row(trial).join(" "))
            .collect()
    }

    #[test]
    fn sections_are_factors_and_zip_varies_its_parameters_together() {
        let zipped = "seeds = 2\n[zip]\ndata = [\"on\", \"off\"]\nrate = [0.1, 0.2]\n";
        assert_eq!(
            told(zipped, &["data", "rate", "seed"]),
            [
                "\"on\" 0.1 1",
                "\"on\" 0.1 2",
                "\"off\" 0.2 1",
                "\"off\" 0.2 2"
            ]
        );
        let listed = "seeds = [7]\n[[trials]]\ndata = \"off\"\n[[trials]]\nrate = 2\n";
        assert_eq!(
            told(listed, &["data", "rate", "seed"]),
            ["\"off\" 0.5 7", "\"on\" 2.0 7"]
        );
        assert_eq!(
            expand("[zip]\ndata = [\"on\", \"off\"]\nrate = [0.1]\n")
                .unwrap_err()
                .to_string(),
            "n.toml, line 5, column 9: `rate` has 1 values, the first list of [zip] has 2"
        );
    }

    #[test]
    fn exclusions_count_defaults_and_may_not_leave_nothing() {
        let grid = "exclude = [{ data = \"on\", seed = 2 }]\n[grid]\nseed = [1, 2]\n";
        assert_eq!(told(grid, &["seed"]), ["1"]);
        assert_eq!(expand(grid).unwrap().excluded, 1);
        assert_eq!(
            expand("exclude = [{ data = \"on\" }]\n[grid]\nseed = [1, 2]\n")
                .unwrap_err()
                .to_string(),
            "n.toml, line 3, column 21: `exclude` leaves no trial"
        );
    }

    #[test]
    fn rules_order_the_trials() {
        let text = "[grid]\nseed = [1, 2, 3]\n[[rule]]\nwhen = { seed = 3 }\npriority = 1\n[[rule]]\nwhen = { seed = 1 }\npriority = -1\n";
        assert_eq!(told(text, &["seed"]), ["3", "2", "1"]);
    }

    #[test]
    fn drawn_values_lie_in_their_ranges_and_do_not_depend_on_each_other() {
        let draw = |count: usize, others: &str| {
            let text = format!(
                "[random]\ncount = {count}\nseed = 5\n[random.draw]\nrate = {{ log = [1e-5, 1e-2] }}\n{others}"
            );
            told(&text, &["rate", "seed"])
        };
        let many = draw(1000, "seed = { int = [1, 3] }\n");
        let rates: Vec<f64> = many
            .iter()
            .map(|row| row.split_once(' ').unwrap().0.parse().unwrap())
            .collect();
        assert!(rates.iter().all(|rate| (1e-5..1e-2).contains(rate)));
        // Uniform in the logarithm: a third below 1e-4, give or take four standard errors.
        let low = rates.iter().filter(|rate| **rate < 1e-4).count();
        assert!((273..=393).contains(&low), "{low}");
        for seed in ["1", "2", "3"] {
            let count = many.iter().filter(|row| row.ends_with(seed)).count();
            assert!((273..=393).contains(&count), "{count}");
        }
        let fewer = draw(10, "");
        for (short, long) in fewer.iter().zip(&many) {
            assert_eq!(
                short.split_once(' ').unwrap().0,
                long.split_once(' ').unwrap().0
            );
        }
    }
}
