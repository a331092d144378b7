//! Where a panic inside an earlier cell's function happened.

use std::path::Path;

use offmodel_events::CellError;

use crate::notebook_state::NotebookState;

/// How the child names a place in the code that evcxr compiled.
const IN_GENERATED_CODE: &str = "panicked at src/lib.rs:";

/// Replaces a line number of the generated code by the cell and line that it came from.
pub(crate) fn locate_in_earlier_cell(error: &mut CellError, state: &NotebookState, folder: &Path) {
    let told = error.traceback.iter_mut().find_map(|line| {
        let number = line
            .strip_prefix(IN_GENERATED_CODE)?
            .parse::<usize>()
            .ok()?;
        Some((line, number))
    });
    let Some((line, number)) = told else { return };
    let Ok(source) = std::fs::read_to_string(folder.join("src").join("lib.rs")) else {
        return;
    };
    let found = state.items().iter().find_map(|item| {
        let start = source.find(&item.code)?;
        let first = source[..start].matches('\n').count() + 1;
        let within = number.checked_sub(first)?;
        (within < item.code.lines().count()).then(|| (item, item.first_line + within))
    });
    if let Some((item, within)) = found {
        let name = item.owner.as_deref().unwrap_or("an item");
        *line = format!(
            "panicked in `{name}`, line {within} of cell {}",
            item.execution
        );
    }
}
