use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

/// Every identifier that a piece of code mentions, those captured in format strings included.
///
/// An over-estimate: names inside ordinary strings that look captured (`"{name}"`) count too.
/// Code that is not even a token stream mentions nothing.
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
            TokenTree::Literal(literal) => captured(&literal.to_string(), names),
            TokenTree::Punct(_) => {}
        }
    }
}

/// The names that a format string would capture: `{name}`, `{name:?}`, `{0:width$}`.
fn captured(literal: &str, names: &mut BTreeSet<String>) {
    let words = literal
        .split(|character: char| !(character.is_alphanumeric() || character == '_'))
        .filter(|word| word.starts_with(|first: char| first.is_alphabetic() || first == '_'));
    if literal.contains('{') {
        names.extend(words.map(str::to_owned));
    }
}
