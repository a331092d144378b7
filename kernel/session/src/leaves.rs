//! What a cell leaves, as far as attempts to compile it have shown: variables that the cell moves
//! cannot be put back, and variables that turn out to borrow cannot be kept.

use std::collections::BTreeMap;

use offmodel_cells::Binding;

use crate::closures::ClosureBox;
use crate::diagnostics::Diagnostic;
use crate::source::{Origin, Source};

/// The variables of a cell.
#[derive(Debug, Default, Clone)]
pub(crate) struct Leaves {
    new: Vec<Leaf>,
    /// Earlier variables that the cell moves.
    moved: Vec<String>,
    lessons: usize,
}

/// A variable that a cell defines.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub name: String,
    /// What it is kept in, if it is a closure.
    pub closure: Option<ClosureBox>,
    /// Why it is not kept.
    unkept: Option<String>,
}

impl Leaves {
    /// All that these bindings define.
    pub fn new(bindings: &[Binding], closures: &BTreeMap<String, ClosureBox>) -> Self {
        let leaf = |binding: &Binding| Leaf {
            name: binding.name.clone(),
            closure: closures.get(&binding.name).cloned(),
            unkept: None,
        };
        Self {
            new: bindings.iter().map(leaf).collect(),
            ..Self::default()
        }
    }

    /// New variables that later cells may have.
    pub fn kept(&self) -> impl Iterator<Item = &Leaf> {
        self.new.iter().filter(|leaf| leaf.unkept.is_none())
    }

    /// New variables that are not kept, with the reason.
    pub fn unkept(&self) -> impl Iterator<Item = (&str, &str)> {
        self.new
            .iter()
            .filter_map(|leaf| Some((leaf.name.as_str(), leaf.unkept.as_deref()?)))
    }

    /// Earlier variables that the cell moves.
    pub fn moved(&self) -> &[String] {
        &self.moved
    }

    /// How often something was learnt.
    pub fn lessons(&self) -> usize {
        self.lessons
    }

    /// Does not keep these variables, for these reasons.
    pub fn leave_out(&mut self, lost: &[(String, String)]) {
        for (name, reason) in lost {
            self.discard(name, reason);
        }
    }

    /// Notes what errors in our own lines of the cell's statement say about its variables; gives
    /// the others, which are the user's.
    pub fn learn(&mut self, errors: Vec<Diagnostic>, statement: &Source) -> Vec<Diagnostic> {
        let is_of_user = |error: &Diagnostic| {
            let mut places = error.places();
            let ours = places.find_map(|span| match statement.origin(span.line_start) {
                Origin::Earlier { name } => Some((name, false)),
                Origin::New { name } => Some((name, true)),
                _ => None,
            });
            match ours {
                None => return true,
                Some((name, true)) => self.learn_of_new(name, error),
                // Any other error there follows from a new variable that borrows this one.
                Some((name, false)) if error.code() == Some("E0382") => {
                    self.moved.push(name.clone());
                    self.lessons += 1;
                }
                Some((_, false)) => {}
            }
            false
        };
        errors.into_iter().filter(is_of_user).collect()
    }

    fn learn_of_new(&mut self, name: &str, error: &Diagnostic) {
        let leaf = self.new.iter_mut().find(|leaf| leaf.name == name);
        if let Some(closure) = leaf.and_then(|leaf| leaf.closure.as_mut())
            && closure.relax(error)
        {
            self.lessons += 1;
            return;
        }
        let label = error.primary().and_then(|span| span.label.as_deref());
        let reason = if label.is_some_and(|label| label.contains("after move")) {
            "its own cell moved it; pass a reference or a clone to keep it"
        } else {
            "it borrows from another variable; clone what it borrows, or let a closure own what \
             it uses by writing `move` before its parameters"
        };
        self.discard(name, reason);
    }

    fn discard(&mut self, name: &str, reason: &str) {
        for leaf in self.new.iter_mut().filter(|leaf| leaf.name == name) {
            if leaf.unkept.is_none() {
                leaf.unkept = Some(reason.to_owned());
                self.lessons += 1;
            }
        }
    }
}
