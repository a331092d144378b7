use std::collections::BTreeMap;

use offmodel_cells::parameters::Parameter;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{DataPath, DataSource, Given, Row, SpecError, SweepSpec};
use crate::assignment::{Assignment, checked, with_defaults};
use crate::store::DataError;

/// Hashes of data by their paths as cells use them.
pub type DataHashes = BTreeMap<String, String>;

/// More trials than this are taken for a mistake.
const LIMIT: usize = 1_000_000;

/// One assignment of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Names it: a hash of the notebook's code, all its values and its data.
    pub id: String,
    /// The values given to the program.
    pub given: Assignment,
    /// These and the defaults that are known without running.
    pub parameters: Assignment,
    /// What it reads.
    pub data: DataHashes,
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
/// `data_hash` tells the hash of data by its path.
///
/// # Errors
/// When a parameter does not exist or a value has another type, or data cannot be read, with the
/// place in the sweep file.
pub fn trials(
    spec: &SweepSpec,
    parameters: &[Parameter],
    code_hash: &str,
    data_hash: &mut dyn FnMut(&str) -> Result<String, DataError>,
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
    let mut trials = distinct(assignments, parameters);
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
    for trial in &mut trials.list {
        trial.data = data_of(&spec.data, &trial.parameters, data_hash)?;
        trial.id = identity(code_hash, &trial.parameters, &trial.data);
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

/// One trial for each set of values, still without data and name.
fn distinct(assignments: Vec<Assignment>, parameters: &[Parameter]) -> Trials {
    let asked = assignments.len();
    let mut seen = std::collections::HashSet::new();
    let list: Vec<Trial> = assignments
        .into_iter()
        .map(|given| Trial {
            id: String::new(),
            parameters: with_defaults(parameters, &given),
            given,
            data: DataHashes::new(),
            priority: 0,
        })
        .filter(|trial| seen.insert(identity("", &trial.parameters, &trial.data)))
        .collect();
    Trials {
        merged: asked - list.len(),
        excluded: 0,
        list,
    }
}

/// The data that a trial with these values reads.
fn data_of(
    sources: &[DataSource],
    parameters: &Assignment,
    hash: &mut dyn FnMut(&str) -> Result<String, DataError>,
) -> Result<DataHashes, SpecError> {
    let mut data = DataHashes::new();
    for source in sources {
        for path in paths(source, parameters)? {
            let hash = hash(path).map_err(|error| SpecError::Data {
                place: source.place.clone(),
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
        place: source.place.clone(),
        name: name.clone(),
        found,
    };
    match parameters.get(name) {
        None => Err(no_path(
            "no such parameter, or a default that is known only when it runs".to_owned(),
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

/// The hash that names a trial. Spelling a default out does not change it.
pub fn identity(code_hash: &str, parameters: &Assignment, data: &DataHashes) -> String {
    let mut hash = Sha256::new();
    hash.update(b"offmodel trial 1");
    hash.update(code_hash.as_bytes());
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for (name, value) in parameters {
        add(name);
        add(&value.to_string());
    }
    // Trials without data keep the names that they had before data counted. No parameter's name
    // is empty.
    for (path, content) in data {
        add("");
        add(path);
        add(content);
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
        let mut hash = |path: &str| match path {
            "missing" => Err(DataError::NotSubmitted {
                path: path.to_owned(),
            }),
            path => Ok(format!("content of {path}")),
        };
        let parameters = parameters(&cell.unwrap()).unwrap();
        trials(&spec, &parameters, "code", &mut hash)
    }

    #[test]
    fn data_are_part_of_a_trials_identity_by_their_content() {
        let id = |text: &str| expand(text).unwrap().list[0].id.clone();
        let without = id("");
        let with = id("data = [\"x\"]\n");
        assert_ne!(with, without);
        assert_ne!(with, id("data = [\"y\"]\n"));
        let by_parameter =
            expand("data = [{ parameter = \"data\" }]\n[grid]\ndata = [\"on\", \"off\"]\n");
        let read: Vec<_> = by_parameter
            .unwrap()
            .list
            .iter()
            .map(|trial| trial.data.clone().into_iter().collect::<Vec<_>>())
            .collect();
        assert_eq!(
            read,
            [
                [("on".to_owned(), "content of on".to_owned())],
                [("off".to_owned(), "content of off".to_owned())]
            ]
        );
    }

    #[test]
    fn data_that_cannot_be_read_or_are_no_path_are_told_with_their_place() {
        let error = |text: &str| expand(text).unwrap_err().to_string();
        assert!(error("data = [\"x\", \"missing\"]\n").starts_with("n.toml, line 3, column 14: "));
        assert_eq!(
            error("data = [{ parameter = \"seed\" }]\n"),
            "n.toml, line 3, column 9: parameter `seed` is to be a path, a list of paths or none, found 1"
        );
        assert!(error("data = [{ parameter = \"sead\" }]\n").contains("no such parameter"));
    }

    #[test]
    fn names_of_trials_without_data_are_those_of_earlier_versions() {
        assert_eq!(
            identity("code", &Assignment::new(), &DataHashes::new()),
            format!("{:x}", Sha256::digest(b"offmodel trial 1code"))[..16]
        );
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
