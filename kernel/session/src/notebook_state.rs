//! What earlier cells left: items, and the names and types of variables.

use std::collections::{BTreeMap, BTreeSet};

use offmodel_cells::{Cell, ItemKind, line_and_column, mentioned_names};

/// The state between cells, as the session knows it without asking the child.
#[derive(Debug, Default, Clone)]
pub(crate) struct NotebookState {
    items: Vec<KnownItem>,
    variables: BTreeMap<String, Variable>,
    /// Variables that could not be kept, and why, for the error of a cell that wants them.
    lost: BTreeMap<String, String>,
    /// Lost variables whose values the child may still hold.
    stale: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct KnownItem {
    /// The named item that this one belongs to: itself, or the one an `impl` follows.
    pub owner: Option<String>,
    pub code: String,
    /// The cell that defined it, and its first line there.
    pub execution: usize,
    pub first_line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// A path that names the type from anywhere.
    pub type_name: String,
    pub mutable: bool,
}

impl Variable {
    /// The type without the paths in it: `Vec<DataFrame>`.
    pub fn short_type(&self) -> String {
        let mut short = String::new();
        for character in self.type_name.chars() {
            short.push(character);
            if short.ends_with("::") {
                let path = |part: char| part.is_alphanumeric() || part == '_' || part == ':';
                short.truncate(short.trim_end_matches(path).len());
            }
        }
        short
    }
}

impl NotebookState {
    /// Adds a cell's items; an item of the same name is replaced with everything that belongs to
    /// it. Returns the variables whose types are thereby gone.
    pub fn define_items(&mut self, cell: &Cell, execution: usize) -> Vec<String> {
        let mut owner: Option<String> = None;
        let mut redefined = BTreeSet::new();
        for item in &cell.items {
            let code = cell.code[item.range.clone()].to_owned();
            if item.kind != ItemKind::Implementation {
                owner.clone_from(&item.name);
            }
            if let Some(name) = &item.name {
                let earlier = self.items.iter().any(|known| {
                    known.owner.as_ref() == Some(name)
                        && known.execution != execution
                        && known.code != code
                });
                if earlier && item.kind == ItemKind::Type {
                    redefined.insert(name.clone());
                }
                self.items.retain(|known| {
                    known.owner.as_ref() != Some(name) || known.execution == execution
                });
            } else {
                self.items.retain(|known| known.code != code);
            }
            let first_line = line_and_column(&cell.code, item.range.start).0;
            self.items.push(KnownItem {
                owner: owner.clone(),
                code,
                execution,
                first_line,
            });
        }
        self.drop_variables_of(redefined)
    }

    /// Variables whose type mentions a redefined type, directly or through other types.
    fn drop_variables_of(&mut self, mut redefined: BTreeSet<String>) -> Vec<String> {
        if redefined.is_empty() {
            return Vec::new();
        }
        loop {
            let more: Vec<String> = self
                .items
                .iter()
                .filter(|item| !mentioned_names(&item.code).is_disjoint(&redefined))
                .filter_map(|item| item.owner.clone())
                .filter(|owner| !redefined.contains(owner))
                .collect();
            if more.is_empty() {
                break;
            }
            redefined.extend(more);
        }
        let gone: Vec<String> = self
            .variables
            .iter()
            .filter(|(_, variable)| !mentioned_names(&variable.type_name).is_disjoint(&redefined))
            .map(|(name, _)| name.clone())
            .collect();
        for name in &gone {
            self.lose(
                name,
                "its type was redefined; run the cell that defines it again".to_owned(),
            );
        }
        gone
    }

    pub fn items(&self) -> &[KnownItem] {
        &self.items
    }

    pub fn variables(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.variables
            .iter()
            .map(|(name, variable)| (name.as_str(), variable))
    }

    /// The known variables that a cell mentions.
    pub fn mentioned(&self, cell: &Cell) -> Vec<(String, Variable)> {
        self.mentioned_in(&cell.code)
    }

    /// The known variables that a piece of code mentions.
    pub fn mentioned_in(&self, code: &str) -> Vec<(String, Variable)> {
        let names = mentioned_names(code);
        self.variables
            .iter()
            .filter(|(name, _)| names.contains(*name))
            .map(|(name, variable)| (name.clone(), variable.clone()))
            .collect()
    }

    pub fn keep(&mut self, name: &str, variable: Variable) {
        self.lost.remove(name);
        self.stale.remove(name);
        self.variables.insert(name.to_owned(), variable);
    }

    /// Gives a known variable another type.
    pub fn retype(&mut self, name: &str, type_name: String) {
        if let Some(variable) = self.variables.get_mut(name) {
            variable.type_name = type_name;
        }
    }

    pub fn lose(&mut self, name: &str, reason: String) {
        self.variables.remove(name);
        self.lost.insert(name.to_owned(), reason);
        self.stale.insert(name.to_owned());
    }

    /// Variables whose values the next cell is to drop.
    pub fn stale(&self) -> impl Iterator<Item = &str> {
        self.stale.iter().map(String::as_str)
    }

    /// The values were dropped.
    pub fn clear_stale(&mut self) {
        self.stale.clear();
    }

    /// Why a name that a cell wants is not there, if it once was.
    pub fn why_lost(&self, name: &str) -> Option<&str> {
        self.lost.get(name).map(String::as_str)
    }

    /// Forgets all variables: the process that held them is gone.
    pub fn lose_all(&mut self, reason: &str) -> Vec<String> {
        let names: Vec<String> = self.variables.keys().cloned().collect();
        for name in &names {
            self.lose(name, reason.to_owned());
        }
        self.stale.clear();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_type_has_no_paths() {
        for (whole, short) in [
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
            let variable = Variable {
                type_name: whole.to_owned(),
                mutable: false,
            };
            assert_eq!(variable.short_type(), short);
        }
    }
}
