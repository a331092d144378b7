//! The trials that the command line selects.

use offmodel_program::Notebook;

use super::Trial;
use crate::assignment::{Assignment, from_command_line};
use crate::error::RunnerError;
use crate::store::SweepFolder;

/// Selects trials by prefixes of their ids, by values of parameters, or by both.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Selection {
    prefixes: Vec<String>,
    values: Assignment,
}

impl Selection {
    /// A selection by `prefixes` of ids and by texts `NAME=VALUE`.
    ///
    /// # Errors
    /// [`RunnerError::NoTrial`] if a prefix or all of the conditions together match no trial,
    /// [`RunnerError::Assignment`] if a value does not fit its parameter.
    pub(crate) fn new(
        folder: &SweepFolder,
        trials: &[Trial],
        prefixes: &[String],
        values: &[String],
    ) -> Result<Self, RunnerError> {
        let parameters = Notebook::read(&folder.notebook_file())?.parameters()?;
        let selection = Self {
            prefixes: prefixes.to_vec(),
            values: from_command_line(&parameters, values)?,
        };
        let missing = |trial: String| RunnerError::NoTrial {
            folder: folder.path().to_owned(),
            trial,
        };
        for prefix in prefixes {
            if !trials.iter().any(|trial| trial.id.starts_with(prefix)) {
                return Err(missing(prefix.clone()));
            }
        }
        if !selection.is_empty() && !trials.iter().any(|trial| selection.contains(trial)) {
            return Err(missing([prefixes, values].concat().join(" ")));
        }
        Ok(selection)
    }

    /// Whether there are no conditions.
    pub(crate) fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && self.values.is_empty()
    }

    /// Whether a trial is selected. Without conditions, none is.
    pub(crate) fn contains(&self, trial: &Trial) -> bool {
        let has_id = self.prefixes.is_empty()
            || self
                .prefixes
                .iter()
                .any(|prefix| trial.id.starts_with(prefix));
        let has_values = self
            .values
            .iter()
            .all(|(name, value)| trial.parameters.get(name) == Some(value));
        !self.is_empty() && has_id && has_values
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
            overrides: Assignment::new(),
            parameters,
            data: Default::default(),
            priority: 0,
        }
    }

    #[test]
    fn ids_and_values_must_both_match_and_no_condition_selects_nothing() {
        let trials = [trial("ab1", 1), trial("ab2", 2), trial("c", 2)];
        let selected = |prefixes: &[&str], x: Option<i64>| {
            let selection = Selection {
                prefixes: prefixes.iter().copied().map(str::to_owned).collect(),
                values: x.map(|x| ("x".to_owned(), json!(x))).into_iter().collect(),
            };
            let selected = trials.iter().filter(|trial| selection.contains(trial));
            selected.map(|trial| trial.id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(selected(&[], None), [""; 0]);
        assert_eq!(selected(&["ab"], None), ["ab1", "ab2"]);
        assert_eq!(selected(&["ab1", "c"], None), ["ab1", "c"]);
        assert_eq!(selected(&[], Some(2)), ["ab2", "c"]);
        assert_eq!(selected(&["ab"], Some(2)), ["ab2"]);
    }
}
