//! Finds the cells that may fail and do not compile.
//!
//! The live kernel shows the compiler's error as the output of such a cell and runs the next one.
//! A program does the same: the cell's statements are excluded from it, and a statement that shows
//! the error takes their place.

use crate::diagnostics::CellDiagnostic;
use crate::errors::CompileError;
use crate::generate::generate_without;
use crate::notebook::Notebook;
use crate::rustc::Rustc;
use crate::shown_error::{ExcludedCells, ShownError};

/// Finds the cells, among those that may fail, to exclude from a program that does not compile with
/// `errors`. Cells in `excluded` are excluded already and are not returned.
///
/// Each suspect is compiled together with the cells before it only, as in the live kernel. The
/// errors of the whole program would not do: they depend on how far rustc gets in other cells.
///
/// # Errors
/// When the program cannot be generated, or the compiler does not start.
pub(crate) fn find_excluded_cells(
    notebook: &Notebook,
    errors: &[CellDiagnostic],
    excluded: &ExcludedCells,
    rustc: &Rustc<'_>,
) -> Result<ExcludedCells, CompileError> {
    let suspects: Vec<usize> = notebook
        .executed_cells()
        .filter(|code_cell| code_cell.may_fail())
        .map(|code_cell| code_cell.number)
        .filter(|cell| !excluded.contains_key(cell))
        .filter(|cell| errors.iter().any(|error| error.cell == *cell))
        .collect();
    let mut found = ExcludedCells::new();
    for &suspect in &suspects {
        let mut others = excluded.clone();
        let other_suspects = suspects.iter().filter(|other| **other != suspect);
        others.extend(other_suspects.map(|other| (*other, ShownError::default())));
        let code = generate_without(notebook, &others, suspect)?;
        let errors_alone = rustc.check(&code)?;
        let error_of_suspect = |errors: &[CellDiagnostic]| {
            let own = errors.iter().filter(|error| error.cell == suspect);
            ShownError::from_diagnostics(&own.collect::<Vec<_>>())
        };
        // A suspect that compiles alone conflicts with a later cell; then the error in the whole
        // program is all there is.
        if let Some(error) = error_of_suspect(&errors_alone).or_else(|| error_of_suspect(errors)) {
            found.insert(suspect, error);
        }
    }
    Ok(found)
}
