use offmodel_cells::parameters::Parameter;
use sha2::{Digest, Sha256};

use super::{Given, SpecError, SweepSpec};
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
}

/// The trials of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Trials {
    /// Without repetition, in the order of the file, the last axis varying fastest.
    pub list: Vec<Trial>,
    /// How many were asked for more than once.
    pub merged: usize,
}

/// Expands a sweep's grid, with every value checked against the notebook's parameters.
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
        .grid
        .iter()
        .try_fold(1_usize, |size, axis| size.checked_mul(axis.values.len()));
    if size.is_none_or(|size| size > LIMIT) {
        return Err(SpecError::TooMany {
            place: spec.grid_place.clone(),
            limit: LIMIT,
        });
    }
    let mut assignments = vec![shared];
    for axis in &spec.grid {
        let values = axis
            .values
            .iter()
            .map(|given| value(parameters, given))
            .collect::<Result<Vec<_>, _>>()?;
        assignments = assignments
            .iter()
            .flat_map(|assignment| {
                values.iter().map(|value| {
                    let mut extended = assignment.clone();
                    extended.insert(axis.name.clone(), value.clone());
                    extended
                })
            })
            .collect();
    }
    Ok(distinct(assignments, parameters, code_hash))
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
            }
        })
        .filter(|trial| seen.insert(trial.id.clone()))
        .collect();
    Trials {
        merged: asked - list.len(),
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
}
