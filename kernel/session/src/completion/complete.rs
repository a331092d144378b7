//! Completion: candidates for the word before the cursor.

use std::collections::BTreeSet;

use offmodel_cells::MemberKind;
use offmodel_events::completion::{Candidate, Completions};

use super::context::CompletionContext;
use super::cursor::{CursorTarget, TextBeforeCursor};
use super::expression_type::expression_type;
use crate::reference::Member;

/// The candidates at `cursor`, a byte offset: names that start with the word before it.
pub(crate) fn complete(context: CompletionContext, source: &str, cursor: usize) -> Completions {
    let before = TextBeforeCursor::new(source, cursor);
    let word = before.word();
    let mut candidates = match before.target() {
        CursorTarget::Nothing => vec![],
        CursorTarget::StringLiteral => columns(context, source),
        CursorTarget::Member { receiver, start } => members(context, &before, receiver, start),
        CursorTarget::Path { path } => names_in_path(context, path),
        CursorTarget::Name => names_in_scope(context, word),
    };
    candidates.retain(|candidate| candidate.text.starts_with(word));
    let mut texts = BTreeSet::new();
    candidates.retain(|candidate| texts.insert(candidate.text.clone()));
    Completions {
        start: before.word_start(),
        end: before.text().len(),
        candidates,
    }
}

/// The columns of all frames; those of frames that the cell mentions first.
fn columns(context: CompletionContext, source: &str) -> Vec<Candidate> {
    let mut frames: Vec<_> = context.notebook.variables().frames().collect();
    frames.sort_by_key(|(frame, _)| !source.contains(frame));
    let columns = frames.iter().flat_map(|(frame, columns)| {
        columns
            .iter()
            .map(move |column| candidate(column, "column", format!("of {frame}")))
    });
    columns.collect()
}

/// The methods and fields of the expression before a dot.
fn members(
    context: CompletionContext,
    before: &TextBeforeCursor,
    receiver: &str,
    start: usize,
) -> Vec<Candidate> {
    let Some(type_name) = expression_type(context, before, receiver, start) else {
        return vec![];
    };
    let mut members = context.members_of_type(&type_name);
    members.retain(|member| matches!(member.kind, MemberKind::Method | MemberKind::Field));
    sorted(members)
}

/// The names after `path::`.
fn names_in_path(context: CompletionContext, path: &str) -> Vec<Candidate> {
    let own = sorted(context.notebook_members(path));
    let Some(reference) = context.reference.filter(|_| own.is_empty()) else {
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

/// The names in scope, the notebook's own first. The names of the prelude are too many to list
/// before the first letter of the word is typed.
fn names_in_scope(context: CompletionContext, word: &str) -> Vec<Candidate> {
    let variables = context
        .notebook
        .variables()
        .iter()
        .map(|(name, variable)| candidate(name, "variable", variable.short_type()));
    let items = context.notebook.definitions().iter().filter_map(|item| {
        let name = item.owner.as_ref()?;
        Some(candidate(name, "item", String::new()))
    });
    let mut names: Vec<Candidate> = variables.chain(items).collect();
    if let Some(reference) = context.reference.filter(|_| !word.is_empty()) {
        let prelude = reference.names_in("").into_iter().map(|(name, kind)| {
            let text = match kind {
                "macro" => format!("{name}!"),
                _ => name.to_owned(),
            };
            candidate(&text, kind, String::new())
        });
        names.extend(prelude);
        names.push(candidate("std", "module", String::new()));
    }
    names
}

/// Sorts members by name: those of the type itself before those of the type that it dereferences
/// to; in both, names with a leading underscore last.
fn sorted(mut members: Vec<Member>) -> Vec<Candidate> {
    let rank = |member: &Member| (member.by_deref, member.name.starts_with('_'));
    members.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    members
        .into_iter()
        .map(|member| candidate(&member.name, member.kind.name(), member.signature))
        .collect()
}

fn candidate(text: &str, kind: &'static str, signature: String) -> Candidate {
    Candidate {
        text: text.to_owned(),
        kind,
        signature,
    }
}
