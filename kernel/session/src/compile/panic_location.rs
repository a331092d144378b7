//! Positions of panics inside functions that cells have defined.

use std::fs;
use std::path::Path;

use offmodel_events::CellError;

use crate::notebook::NotebookState;

/// The position in a traceback line of the child: evcxr compiles all items of the notebook as this
/// file.
const IN_GENERATED_CODE: &str = " at src/lib.rs:";

/// Replaces line numbers of evcxr's file in the traceback of a panic by the cell and line of the
/// item. Removes callers that are in no item of the notebook.
pub(crate) fn locate_panic(error: &mut CellError, state: &NotebookState, folder: &Path) {
    let is_in_generated_code = |line: &String| line.contains(IN_GENERATED_CODE);
    if !error.traceback.iter().any(is_in_generated_code) {
        return;
    }
    let source = fs::read_to_string(folder.join("src").join("lib.rs")).unwrap_or_default();
    error.traceback = std::mem::take(&mut error.traceback)
        .into_iter()
        .filter_map(|line| {
            let Some((event, number)) = split_line_number(&line) else {
                return Some(line);
            };
            match describe_line(number, &source, state) {
                Some(position) => Some(format!("{event} in {position}")),
                None if event.trim() == "called" => None,
                None => Some(line),
            }
        })
        .collect();
}

/// Splits "panicked at src/lib.rs:12" into "panicked" and 12.
fn split_line_number(line: &str) -> Option<(&str, usize)> {
    let (event, number) = line.split_once(IN_GENERATED_CODE)?;
    Some((event, number.parse().ok()?))
}

/// Describes a line of evcxr's file: "`deep`, line 3 of cell 5".
fn describe_line(number: usize, source: &str, state: &NotebookState) -> Option<String> {
    let (item, line) = state.definitions().iter().find_map(|item| {
        let start = source.find(&item.code)?;
        let first_line = source[..start].matches('\n').count() + 1;
        let index = number.checked_sub(first_line)?;
        (index < item.code.lines().count()).then(|| (item, item.first_line + index))
    })?;
    let name = item.owner.as_deref().unwrap_or("an item");
    Some(format!("`{name}`, line {line} of cell {}", item.execution))
}
