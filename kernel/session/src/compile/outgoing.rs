//! The variables that a running cell hands on to later cells.
//!
//! Which of them can be handed on shows only when the cell is compiled: a variable that the cell
//! moves cannot be put into the store, and neither can one that borrows. Compiling starts from the
//! assumption that all can, and errors exclude the others.

use std::collections::{BTreeMap, BTreeSet};

use offmodel_cells::Binding;
use offmodel_cells::generated::GeneratedCode;

use super::closure_box::ClosureBox;
use super::diagnostics::Diagnostic;

/// The outgoing variables of a cell.
#[derive(Debug, Default, Clone)]
pub(crate) struct OutgoingVariables {
    new: Vec<NewVariable>,
    /// Earlier variables that the cell moves and so cannot put back.
    moved: BTreeSet<String>,
    exclusions: usize,
}

/// A variable that a cell defines.
#[derive(Debug, Clone)]
pub(crate) struct NewVariable {
    pub name: String,
    /// The box in which a closure is stored.
    pub closure: Option<ClosureBox>,
    /// Why the variable is not handed on.
    dropped: Option<String>,
}

/// A generated line that puts a variable into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreLine {
    /// A variable that the cell defines.
    New { name: String },
    /// A variable of an earlier cell, which is put back.
    Earlier { name: String },
}

impl OutgoingVariables {
    /// All variables that a cell defines, with the boxes of those that are closures.
    pub(crate) fn new(bindings: &[Binding], closures: &BTreeMap<String, ClosureBox>) -> Self {
        let new = |binding: &Binding| NewVariable {
            name: binding.name.clone(),
            closure: closures.get(&binding.name).cloned(),
            dropped: None,
        };
        Self {
            new: bindings.iter().map(new).collect(),
            ..Self::default()
        }
    }

    /// The new variables that are handed on.
    pub(crate) fn new_variables(&self) -> impl Iterator<Item = &NewVariable> {
        self.new.iter().filter(|new| new.dropped.is_none())
    }

    /// The new variables that are not handed on, with the reason.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = (&str, &str)> {
        self.new
            .iter()
            .filter_map(|new| Some((new.name.as_str(), new.dropped.as_deref()?)))
    }

    /// Earlier variables that the cell moves.
    pub(crate) fn moved(&self) -> impl Iterator<Item = &str> {
        self.moved.iter().map(String::as_str)
    }

    /// Whether the cell moves this earlier variable.
    pub(crate) fn is_moved(&self, name: &str) -> bool {
        self.moved.contains(name)
    }

    /// The number of exclusions so far. It is bounded: a new variable is dropped once, an earlier
    /// one is moved once, and the box of a closure becomes less capable at most three times.
    pub(crate) fn exclusions(&self) -> usize {
        self.exclusions
    }

    /// Excludes variables, given with the reasons.
    pub(crate) fn exclude(&mut self, variables: &[(String, String)]) {
        for (name, reason) in variables {
            self.drop_new(name, reason);
        }
    }

    /// Excludes variables by the errors in lines that store them. Returns the other errors, which
    /// are the user's.
    pub(crate) fn exclude_from_errors(
        &mut self,
        errors: Vec<Diagnostic>,
        code: &GeneratedCode<StoreLine>,
    ) -> Vec<Diagnostic> {
        let is_of_user = |error: &Diagnostic| {
            let mut spans = error.all_spans();
            match spans.find_map(|span| code.label(span.line_start)) {
                None => return true,
                Some(StoreLine::New { name }) => self.exclude_new(name, error),
                Some(StoreLine::Earlier { name }) => {
                    // E0382 is a use after a move. Any other error in this line is caused by a new
                    // variable that borrows this one, and which the error in its own line excludes.
                    if error.code() == Some("E0382") && self.moved.insert(name.clone()) {
                        self.exclusions += 1;
                    }
                }
            }
            false
        };
        errors.into_iter().filter(is_of_user).collect()
    }

    fn exclude_new(&mut self, name: &str, error: &Diagnostic) {
        let new = self.new.iter_mut().find(|new| new.name == name);
        if let Some(closure) = new.and_then(|new| new.closure.as_mut())
            && closure.relax(error)
        {
            self.exclusions += 1;
            return;
        }
        let label = error.primary().and_then(|span| span.label.as_deref());
        let reason = if label.is_some_and(|label| label.contains("after move")) {
            "its own cell moved it; pass a reference or a clone to keep it"
        } else {
            "it borrows from another variable; clone what it borrows, or let a closure own what \
             it uses by writing `move` before its parameters"
        };
        self.drop_new(name, reason);
    }

    fn drop_new(&mut self, name: &str, reason: &str) {
        for new in self.new.iter_mut().filter(|new| new.name == name) {
            if new.dropped.is_none() {
                new.dropped = Some(reason.to_owned());
                self.exclusions += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(name: &str) -> Binding {
        Binding {
            name: name.to_owned(),
            mutable: false,
            closure_parameters: None,
        }
    }

    fn error(code: &str, line: usize, label: &str) -> Diagnostic {
        serde_json::from_value(serde_json::json!({
            "message": "an error", "code": { "code": code }, "level": "error", "children": [],
            "rendered": null,
            "spans": [{
                "line_start": line, "column_start": 1, "is_primary": true, "label": label,
            }],
        }))
        .unwrap()
    }

    #[test]
    fn errors_in_store_lines_exclude_their_variables_once() {
        let mut code = GeneratedCode::default();
        code.push_cell_lines(1, 1, "let a = b;");
        let name = |name: &str| name.to_owned();
        code.push_labelled("put(a);", StoreLine::New { name: name("a") });
        code.push_labelled("put(b);", StoreLine::Earlier { name: name("b") });
        let mut outgoing = OutgoingVariables::new(&[binding("a")], &BTreeMap::new());
        let errors = || {
            vec![
                error("E0308", 1, "expected `String`"),
                error("E0382", 2, "value used here after move"),
                error("E0382", 3, "value used here after move"),
                error("E0505", 3, "move out of `b` occurs here"),
            ]
        };
        let of_user = outgoing.exclude_from_errors(errors(), &code);
        assert_eq!(of_user.len(), 1);
        assert_eq!(of_user[0].code(), Some("E0308"));
        assert_eq!(outgoing.exclusions(), 2);
        assert_eq!(outgoing.new_variables().count(), 0);
        let (dropped, reason) = outgoing.dropped().next().unwrap();
        assert!(dropped == "a" && reason.contains("its own cell moved it"));
        assert_eq!(outgoing.moved().collect::<Vec<_>>(), ["b"]);
        outgoing.exclude_from_errors(errors(), &code);
        assert_eq!(outgoing.exclusions(), 2);
    }
}
