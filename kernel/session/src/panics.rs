//! Where a panic inside a function of a cell happened, and from where that was called.

use std::path::Path;

use offmodel_events::CellError;

use crate::notebook_state::NotebookState;

/// How the child names a place in the code that evcxr compiled.
const IN_GENERATED_CODE: &str = " at src/lib.rs:";

/// Replaces line numbers of the generated code by the cell and line that they came from; drops
/// callers that are no user's code.
pub(crate) fn locate_in_cells(error: &mut CellError, state: &NotebookState, folder: &Path) {
    let is_told = |line: &String| line.contains(IN_GENERATED_CODE);
    if !error.traceback.iter().any(is_told) {
        return;
    }
    let source = std::fs::read_to_string(folder.join("src").join("lib.rs")).unwrap_or_default();
    error.traceback = std::mem::take(&mut error.traceback)
        .into_iter()
        .filter_map(|line| {
            let Some((event, number)) = generated_line(&line) else {
                return Some(line);
            };
            match item_at(number, &source, state) {
                Some(place) => Some(format!("{event} in {place}")),
                None if event.trim() == "called" => None,
                None => Some(line),
            }
        })
        .collect();
}

/// "panicked at src/lib.rs:12" as what happened and the number.
fn generated_line(line: &str) -> Option<(&str, usize)> {
    let (event, number) = line.split_once(IN_GENERATED_CODE)?;
    Some((event, number.parse().ok()?))
}

/// "`deep`, line 3 of cell 5".
fn item_at(number: usize, source: &str, state: &NotebookState) -> Option<String> {
    let (item, line) = state.items().iter().find_map(|item| {
        let start = source.find(&item.code)?;
        let first = source[..start].matches('\n').count() + 1;
        let within = number.checked_sub(first)?;
        (within < item.code.lines().count()).then(|| (item, item.first_line + within))
    })?;
    let name = item.owner.as_deref().unwrap_or("an item");
    Some(format!("`{name}`, line {line} of cell {}", item.execution))
}
