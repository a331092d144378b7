//! Completion: what could stand at the cursor.

use std::collections::BTreeMap;

use offmodel_cells::members_of;
use offmodel_events::completion::{Candidate, Completions};

use crate::cursor::{Before, Place};
use crate::environment::Environment;
use crate::expression_type::expression_type;
use crate::notebook_state::NotebookState;
use crate::reference::{Member, MemberKind, Reference};

/// What is known when names are completed or looked up.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub state: &'a NotebookState,
    /// The columns of every variable that is a frame.
    pub columns: &'a BTreeMap<String, Vec<String>>,
    pub environment: &'a Environment,
    /// Absent until it has been written.
    pub reference: Option<&'a Reference>,
}

/// The names that start like the word before the cursor.
pub(crate) fn complete(known: Known, source: &str, cursor: usize) -> Completions {
    let before = Before::new(source, cursor);
    let word = before.word();
    let mut candidates = match before.place() {
        Place::Nowhere => vec![],
        Place::Literal => columns(known, source),
        Place::Member { receiver, start } => known.members(&before, receiver, start),
        Place::Path { path } => known.names_in(path),
        Place::Name => known.names(word),
    };
    candidates.retain(|candidate| candidate.text.starts_with(word));
    let mut names = std::collections::BTreeSet::new();
    candidates.retain(|candidate| names.insert(candidate.text.clone()));
    Completions {
        start: before.word_start,
        end: before.text().len(),
        candidates,
    }
}

/// The columns of the frames that the cell mentions, then those of the others.
fn columns(known: Known, source: &str) -> Vec<Candidate> {
    let mentioned = |frame: &str| source.contains(frame);
    let is_frame = |frame: &str| {
        let mut variables = known.state.variables();
        variables.any(|(name, variable)| name == frame && variable.short_type() == "DataFrame")
    };
    let frames = known.columns.iter().filter(|(frame, _)| is_frame(frame));
    let mut frames: Vec<_> = frames.collect();
    frames.sort_by_key(|(frame, _)| !mentioned(frame));
    let columns = frames.iter().flat_map(|(frame, columns)| {
        columns
            .iter()
            .map(move |column| candidate(column, "column", format!("of {frame}")))
    });
    columns.collect()
}

impl Known<'_> {
    /// What can stand behind the dot of an expression.
    pub fn members(self, before: &Before, receiver: &str, start: usize) -> Vec<Candidate> {
        let Some(told) = expression_type(before, receiver, start, self.state, self.environment)
        else {
            return vec![];
        };
        let mut members = self.members_of_type(&told);
        members.retain(|member| matches!(member.kind, MemberKind::Method | MemberKind::Field));
        sorted(members)
    }

    /// All members of a type, of the notebook or of the prelude.
    pub fn members_of_type(self, told: &str) -> Vec<Member> {
        let mut members = self.own_members(told);
        if members.is_empty()
            && let Some(reference) = self.reference
        {
            members = reference.members_of(told);
        }
        members
    }

    fn own_members(self, told: &str) -> Vec<Member> {
        let name = told.trim_start_matches(['&', ' ']);
        let name = name.strip_prefix("mut ").unwrap_or(name);
        let name = name.split('<').next().unwrap_or(name);
        let members = self.state.items().iter().flat_map(|item| {
            let members = members_of(&item.code, name.rsplit("::").next().unwrap_or(name));
            members.into_iter().map(|member| Member {
                name: member.name,
                kind: member.kind.into(),
                signature: member.signature,
                documentation: String::new(),
                by_deref: false,
            })
        });
        members.collect()
    }

    /// What can stand behind `path::`.
    fn names_in(self, path: &str) -> Vec<Candidate> {
        let own = sorted(self.own_members(path));
        let Some(reference) = self.reference.filter(|_| own.is_empty()) else {
            return own;
        };
        let mut names: Vec<Candidate> = reference
            .names_in(path)
            .into_iter()
            .map(|(name, kind)| candidate(name, kind, String::new()))
            .collect();
        if names.is_empty()
            && let Some(page) = reference.page(path)
        {
            names = sorted(page.members);
        }
        names
    }

    /// Names in scope: the notebook's own first. Those of the prelude are too many to show
    /// before the first letter.
    fn names(self, word: &str) -> Vec<Candidate> {
        let variables = self
            .state
            .variables()
            .map(|(name, variable)| candidate(name, "variable", variable.short_type()));
        let items = self.state.items().iter().filter_map(|item| {
            let name = item.owner.as_ref()?;
            Some(candidate(name, "item", String::new()))
        });
        let mut names: Vec<Candidate> = variables.chain(items).collect();
        if let Some(reference) = self.reference.filter(|_| !word.is_empty()) {
            let prelude = reference.names_in("").into_iter().map(|(name, kind)| {
                let name = match kind {
                    "macro" => format!("{name}!"),
                    _ => name.to_owned(),
                };
                candidate(&name, kind, String::new())
            });
            names.extend(prelude);
            names.push(candidate("std", "module", String::new()));
        }
        names
    }
}

fn candidate(name: &str, kind: &'static str, signature: String) -> Candidate {
    Candidate {
        text: name.to_owned(),
        kind,
        signature,
    }
}

/// Members by name, those of the type itself before those of what it dereferences to; names that
/// begin with an underscore last.
fn sorted(mut members: Vec<Member>) -> Vec<Candidate> {
    let rank = |member: &Member| (member.by_deref, member.name.starts_with('_'));
    members.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    members
        .into_iter()
        .map(|member| Candidate {
            text: member.name,
            kind: member.kind.word(),
            signature: member.signature,
        })
        .collect()
}
