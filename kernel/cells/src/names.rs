//! The identifiers in a piece of code.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

/// Every identifier that a piece of code mentions, those captured in format strings included.
///
/// The result may hold too many names, never too few: `{name}` in an ordinary string counts too.
/// Code that cannot be split into tokens mentions nothing.
pub fn mentioned_names(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Ok(tokens) = code.parse::<TokenStream>() {
        collect(tokens, &mut names);
    }
    names
}

fn collect(tokens: TokenStream, names: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(identifier) => {
                names.insert(identifier.to_string());
            }
            TokenTree::Group(group) => collect(group.stream(), names),
            TokenTree::Literal(literal) => collect_captured(&literal.to_string(), names),
            TokenTree::Punct(_) => {}
        }
    }
}

/// Adds the names that a format string captures: `{name}`, `{name:?}`, `{0:width$}`.
fn collect_captured(literal: &str, names: &mut BTreeSet<String>) {
    let words = literal
        .split(|character: char| !(character.is_alphanumeric() || character == '_'))
        .filter(|word| word.starts_with(|first: char| first.is_alphabetic() || first == '_'));
    if literal.contains('{') {
        names.extend(words.map(str::to_owned));
    }
}
