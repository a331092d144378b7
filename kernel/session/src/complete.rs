//! Completion from the names that the session knows.

use crate::notebook_state::NotebookState;

/// Names that could stand at the cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completions {
    /// Start of the text they replace, in bytes.
    pub start: usize,
    /// End of that text: the cursor.
    pub end: usize,
    /// The names, sorted.
    pub candidates: Vec<String>,
}

/// The known variables and items that start like the word before the cursor.
pub(crate) fn complete(state: &NotebookState, source: &str, cursor: usize) -> Completions {
    let mut end = cursor.min(source.len());
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    let start = source[..end]
        .char_indices()
        .rev()
        .take_while(|(_, character)| character.is_alphanumeric() || *character == '_')
        .last()
        .map_or(end, |(index, _)| index);
    let word = &source[start..end];
    // Behind a dot stand methods and fields, which these names are not.
    if word.is_empty() || source[..start].ends_with('.') {
        return Completions {
            start,
            end,
            candidates: Vec::new(),
        };
    }
    let variables = state.variables().map(|(name, _)| name.to_owned());
    let items = state.items().iter().filter_map(|item| item.owner.clone());
    let mut candidates: Vec<String> = variables
        .chain(items)
        .filter(|name| name.starts_with(word))
        .collect();
    candidates.sort();
    candidates.dedup();
    Completions {
        start,
        end,
        candidates,
    }
}
