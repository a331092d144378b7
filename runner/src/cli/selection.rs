//! Trials chosen on the command line.

use offmodel_program::Notebook;

use crate::assignment::{Assignment, from_command_line};
use crate::error::RunnerError;
use crate::store::SweepFolder;
use crate::sweep::Trial;

/// Trials chosen by how their names begin, by values of parameters, or by both.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Selection {
    names: Vec<String>,
    values: Assignment,
}

impl Selection {
    /// Reads what was given: `names` and `NAME=VALUE` texts.
    ///
    /// # Errors
    /// When the sweep has no trial of a name or with all of the values, or a value is none that
    /// the parameter can have.
    pub fn new(
        folder: &SweepFolder,
        trials: &[Trial],
        names: &[String],
        values: &[String],
    ) -> Result<Self, RunnerError> {
        let parameters = Notebook::read(&folder.notebook_file())?.parameters()?;
        let selection = Self {
            names: names.to_vec(),
            values: from_command_line(&parameters, values)?,
        };
        let missing = |trial: String| RunnerError::NoTrial {
            folder: folder.path().to_owned(),
            trial,
        };
        for name in names {
            if !trials.iter().any(|trial| trial.id.starts_with(name)) {
                return Err(missing(name.clone()));
            }
        }
        if !selection.is_empty() && !trials.iter().any(|trial| selection.has(trial)) {
            return Err(missing([names, values].concat().join(" ")));
        }
        Ok(selection)
    }

    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.values.is_empty()
    }

    /// Whether a trial was chosen; if nothing was, none is.
    pub fn has(&self, trial: &Trial) -> bool {
        let is_named =
            self.names.is_empty() || self.names.iter().any(|name| trial.id.starts_with(name));
        let has_values = self
            .values
            .iter()
            .all(|(name, value)| trial.parameters.get(name) == Some(value));
        !self.is_empty() && is_named && has_values
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trial(id: &str, x: i64) -> Trial {
        let parameters = Assignment::from([("x".to_owned(), json!(x))]);
        Trial {
            id: id.to_owned(),
            given: Assignment::new(),
            parameters,
            data: Default::default(),
            priority: 0,
        }
    }

    #[test]
    fn names_and_values_must_both_fit_and_nothing_given_chooses_nothing() {
        let trials = [trial("ab1", 1), trial("ab2", 2), trial("c", 2)];
        let chosen = |names: &[&str], x: Option<i64>| {
            let selection = Selection {
                names: names.iter().copied().map(str::to_owned).collect(),
                values: x.map(|x| ("x".to_owned(), json!(x))).into_iter().collect(),
            };
            let chosen = trials.iter().filter(|trial| selection.has(trial));
            chosen.map(|trial| trial.id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(chosen(&[], None), [""; 0]);
        assert_eq!(chosen(&["ab"], None), ["ab1", "ab2"]);
        assert_eq!(chosen(&["ab1", "c"], None), ["ab1", "c"]);
        assert_eq!(chosen(&[], Some(2)), ["ab2", "c"]);
        assert_eq!(chosen(&["ab"], Some(2)), ["ab2"]);
    }
}
