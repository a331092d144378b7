//! The items that cells have defined.

use std::collections::BTreeSet;

use offmodel_cells::{Cell, Item, ItemKind, line_and_column, mentioned_names};

/// All items of the notebook, in the order of their definition.
#[derive(Debug, Default, Clone)]
pub(crate) struct Definitions {
    items: Vec<Definition>,
}

/// An item with its origin.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    /// The name of the item; for an `impl` block, that of the item before it in the cell. Defining
    /// the name again replaces both.
    pub owner: Option<String>,
    /// The source text.
    pub code: String,
    /// The execution count of the cell.
    pub execution: usize,
    /// The first line in the cell, from 1.
    pub first_line: usize,
}

impl Definitions {
    /// Adds the items of a cell. An item replaces an earlier one of the same name together with
    /// everything that belongs to it.
    ///
    /// Returns the names of types that changed, directly or because they contain one that did.
    pub(crate) fn define(&mut self, cell: &Cell, execution: usize) -> BTreeSet<String> {
        let mut owner: Option<String> = None;
        let mut changed_types = BTreeSet::new();
        for item in &cell.items {
            let code = cell.code[item.range.clone()].to_owned();
            if item.kind != ItemKind::Implementation {
                owner.clone_from(&item.name);
            }
            if self.replaces_type(item, &code, execution) {
                changed_types.extend(item.name.clone());
            }
            match &item.name {
                Some(name) => self.items.retain(|known| {
                    known.owner.as_ref() != Some(name) || known.execution == execution
                }),
                None => self.items.retain(|known| known.code != code),
            }
            self.items.push(Definition {
                owner: owner.clone(),
                first_line: line_and_column(&cell.code, item.range.start).0,
                code,
                execution,
            });
        }
        self.with_dependents(changed_types)
    }

    /// All items.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.items.iter()
    }

    /// The source text of all items, for a compiler call.
    pub(crate) fn source(&self) -> String {
        let mut source = String::new();
        for item in &self.items {
            source.push_str(&item.code);
            source.push('\n');
        }
        source
    }

    /// Whether an item of a new cell gives a type of an earlier cell a different definition.
    fn replaces_type(&self, item: &Item, code: &str, execution: usize) -> bool {
        item.kind == ItemKind::Type
            && item.name.is_some()
            && self.items.iter().any(|known| {
                known.owner == item.name && known.execution != execution && known.code != code
            })
    }

    /// Adds the names of all items that mention one of `names`, directly or through other items.
    fn with_dependents(&self, mut names: BTreeSet<String>) -> BTreeSet<String> {
        if names.is_empty() {
            return names;
        }
        loop {
            let dependents: Vec<String> = self
                .items
                .iter()
                .filter(|item| !mentioned_names(&item.code).is_disjoint(&names))
                .filter_map(|item| item.owner.clone())
                .filter(|owner| !names.contains(owner))
                .collect();
            if dependents.is_empty() {
                return names;
            }
            names.extend(dependents);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn define(definitions: &mut Definitions, source: &str, execution: usize) -> Vec<String> {
        let cell = offmodel_cells::parse(source).unwrap();
        let changed = definitions.define(&cell, execution);
        changed.into_iter().collect()
    }

    #[test]
    fn a_redefined_type_changes_the_types_that_contain_it() {
        let mut definitions = Definitions::default();
        define(&mut definitions, "struct Item(u8);", 1);
        define(
            &mut definitions,
            "struct List(Vec<Item>);\nstruct Other;",
            2,
        );
        assert_eq!(define(&mut definitions, "struct Item(u8);", 3), [""; 0]);
        assert_eq!(
            define(&mut definitions, "struct Item(u16);", 4),
            ["Item", "List"]
        );
    }

    #[test]
    fn an_item_is_replaced_with_its_impl_blocks() {
        let mut definitions = Definitions::default();
        define(&mut definitions, "struct A;\nimpl A { fn f() {} }", 1);
        define(&mut definitions, "struct A;", 2);
        assert_eq!(definitions.source(), "struct A;\n");
    }
}
