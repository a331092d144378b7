//! The notebook's variables: names, types, columns of frames, and reasons for dropping them.

use std::collections::{BTreeMap, BTreeSet};

use offmodel_cells::mentioned_names;

/// The notebook's variables.
///
/// This is the session's only record of them. The store in the child process holds their values and
/// follows it: a cell takes variables out of the store by the types recorded here, and the values of
/// dropped variables are removed from the store when the next cell runs.
#[derive(Debug, Default, Clone)]
pub(crate) struct NotebookVariables {
    variables: BTreeMap<String, Variable>,
    /// Why variables that once existed no longer do, for the error of a cell that mentions one.
    drop_reasons: BTreeMap<String, String>,
    /// Dropped variables whose values may still be in the store.
    stale: BTreeSet<String>,
    /// The columns of frames by variable. The child reports them only when they change, so they
    /// stay here when a variable is dropped: it may come back with the same columns.
    columns: BTreeMap<String, Vec<String>>,
}

/// A variable as generated code declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// The type, with paths that are valid in every cell.
    pub type_name: String,
    /// Whether it was declared `mut`.
    pub mutable: bool,
}

impl Variable {
    /// The type without paths: `Vec<DataFrame>`.
    pub(crate) fn short_type(&self) -> String {
        let mut short = String::new();
        for character in self.type_name.chars() {
            short.push(character);
            if short.ends_with("::") {
                let is_path = |part: char| part.is_alphanumeric() || part == '_' || part == ':';
                short.truncate(short.trim_end_matches(is_path).len());
            }
        }
        short
    }
}

impl NotebookVariables {
    /// All variables, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.variables
            .iter()
            .map(|(name, variable)| (name.as_str(), variable))
    }

    /// The variable of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// The variables that a piece of code mentions.
    pub(crate) fn mentioned_in(&self, code: &str) -> Vec<(&str, &Variable)> {
        let names = mentioned_names(code);
        self.iter()
            .filter(|(name, _)| names.contains(*name))
            .collect()
    }

    /// Adds a variable, or replaces the one of the same name.
    pub(crate) fn insert(&mut self, name: &str, variable: Variable) {
        self.drop_reasons.remove(name);
        self.stale.remove(name);
        self.variables.insert(name.to_owned(), variable);
    }

    /// Changes the type of a variable, if it exists.
    pub(crate) fn set_type(&mut self, name: &str, type_name: String) {
        if let Some(variable) = self.variables.get_mut(name) {
            variable.type_name = type_name;
        }
    }

    /// Drops a variable; `reason` completes the sentence "`name` is not available: ...".
    pub(crate) fn drop_variable(&mut self, name: &str, reason: impl Into<String>) {
        self.variables.remove(name);
        self.drop_reasons.insert(name.to_owned(), reason.into());
        self.stale.insert(name.to_owned());
    }

    /// Drops the variables whose types mention one of these type names.
    pub(crate) fn drop_variables_of_types(&mut self, types: &BTreeSet<String>) {
        let is_affected =
            |variable: &Variable| !mentioned_names(&variable.type_name).is_disjoint(types);
        let affected: Vec<String> = self
            .iter()
            .filter(|(_, variable)| is_affected(variable))
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in affected {
            self.drop_variable(
                &name,
                "its type was redefined; run the cell that defines it again",
            );
        }
    }

    /// Drops all variables and returns their names. The caller makes sure that the store is emptied
    /// too.
    pub(crate) fn drop_all(&mut self, reason: &str) -> Vec<String> {
        let names: Vec<String> = self.variables.keys().cloned().collect();
        for name in &names {
            self.drop_variable(name, reason);
        }
        self.stale.clear();
        names
    }

    /// Why a variable that once existed no longer does.
    pub(crate) fn drop_reason(&self, name: &str) -> Option<&str> {
        self.drop_reasons.get(name).map(String::as_str)
    }

    /// Dropped variables that the next cell is to remove from the store.
    pub(crate) fn stale(&self) -> impl Iterator<Item = &str> {
        self.stale.iter().map(String::as_str)
    }

    /// Records that a cell has removed the stale variables from the store.
    pub(crate) fn clear_stale(&mut self) {
        self.stale.clear();
    }

    /// Records the columns of a frame.
    pub(crate) fn set_columns(&mut self, variable: String, columns: Vec<String>) {
        self.columns.insert(variable, columns);
    }

    /// The variables that are frames, with their columns.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (&str, &[String])> {
        let is_frame = |name: &str| {
            self.get(name)
                .is_some_and(|variable| variable.short_type() == "DataFrame")
        };
        self.columns
            .iter()
            .filter(move |(name, _)| is_frame(name))
            .map(|(name, columns)| (name.as_str(), columns.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(type_name: &str) -> Variable {
        Variable {
            type_name: type_name.to_owned(),
            mutable: false,
        }
    }

    #[test]
    fn a_short_type_has_no_paths() {
        for (type_name, short) in [
            (
                "std::vec::Vec<offmodel::prelude::DataFrame>",
                "Vec<DataFrame>",
            ),
            ("(i32, &'static str)", "(i32, &'static str)"),
            (
                "std::collections::HashMap<std::string::String, f64>",
                "HashMap<String, f64>",
            ),
        ] {
            assert_eq!(variable(type_name).short_type(), short);
        }
    }

    #[test]
    fn a_dropped_variable_is_stale_until_it_is_defined_again() {
        let mut variables = NotebookVariables::default();
        variables.insert("pair", variable("Pair"));
        variables.drop_variables_of_types(&BTreeSet::from(["Pair".to_owned()]));
        assert!(variables.get("pair").is_none());
        assert!(variables.drop_reason("pair").unwrap().contains("redefined"));
        assert_eq!(variables.stale().collect::<Vec<_>>(), ["pair"]);
        variables.insert("pair", variable("Pair"));
        assert_eq!(variables.drop_reason("pair"), None);
        assert_eq!(variables.stale().count(), 0);
    }

    #[test]
    fn columns_are_known_again_when_a_frame_comes_back() {
        let mut variables = NotebookVariables::default();
        variables.insert("frame", variable("polars::frame::DataFrame"));
        variables.set_columns("frame".to_owned(), vec!["score".to_owned()]);
        assert_eq!(variables.frames().count(), 1);
        variables.drop_variable("frame", "a cell moved it");
        assert_eq!(variables.frames().count(), 0);
        variables.insert("frame", variable("polars::frame::DataFrame"));
        assert_eq!(variables.frames().count(), 1);
    }
}
