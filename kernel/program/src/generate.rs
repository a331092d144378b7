//! Generates the Rust program of a notebook.

use std::fmt::Write as _;
use std::path::PathBuf;

use offmodel_cells::Cell;
use offmodel_cells::generated::{
    CELL_CLOSURE, CELL_RESULT, CellText, GeneratedCode, OK_OF_CELL, SHOW_CLOSING, SHOW_OPENING,
};
use offmodel_cells::parameters::{Parameter, parameters};
use offmodel_toolchain::extra_crates::CrateRequestError;

use crate::diagnostics::SOURCE_FILE;
use crate::notebook::{CodeCell, Notebook, PARAMETERS_TAG};
use crate::shown_error::{ExcludedCells, ShownError};

/// Why a notebook cannot become a program, found without the compiler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A cell is not a sequence of Rust statements.
    #[error("{}, cell {cell}: {reason}", notebook.display())]
    Syntax {
        /// The notebook.
        notebook: PathBuf,
        /// The cell's number.
        cell: usize,
        /// The parser's message, with line and column.
        reason: offmodel_cells::ParseError,
    },
    /// A declaration in the `parameters` cell cannot be a parameter.
    #[error("{}, cell {cell}, {reason}", notebook.display())]
    Parameter {
        /// The notebook.
        notebook: PathBuf,
        /// The cell's number.
        cell: usize,
        /// The reason, with the line.
        reason: offmodel_cells::parameters::ParameterError,
    },
    /// A `:dep` line does not name a crate in a form that Cargo accepts.
    #[error("{}, cell {cell}, line {line}: {reason}", notebook.display())]
    Dependency {
        /// The notebook.
        notebook: PathBuf,
        /// The cell's number.
        cell: usize,
        /// Line in the cell, from 1.
        line: usize,
        /// The reason.
        reason: CrateRequestError,
    },
}

/// Generates the program of a notebook.
///
/// ```text
/// fn __offmodel_cells() -> Result<(), Raised> {
///     begin(1)?;
///     ...cell 1...
///     end();
///     {
///         begin(2)?;
///         ...cell 2: sees everything of cell 1, and may define its names again...
///         end();
///     }
///     Ok(())
/// }
/// ```
///
/// Each cell is nested in the one before, because a block cannot hold two functions of one name,
/// but an inner block may shadow those of an outer one. Cells keep their lines, and their columns
/// where possible, so that rustc's messages fit the notebook.
///
/// A cell that may fail becomes the body of a closure. Later cells do not see what it defines,
/// because it may fail before it defines it. If such a cell is not even Rust, its error is shown
/// in its place.
///
/// The text must not change without need: the version of a program, which trials record, is a hash
/// of it.
///
/// # Errors
/// When a cell that must not fail is not Rust, or its parameters are invalid.
pub(crate) fn generate(notebook: &Notebook) -> Result<GeneratedCode, GenerateError> {
    generate_without(notebook, &ExcludedCells::new(), usize::MAX)
}

/// Generates the program as [`generate`] does, but with the errors of `excluded` cells in place of
/// their statements, and only up to the cell of number `last`.
pub(crate) fn generate_without(
    notebook: &Notebook,
    excluded: &ExcludedCells,
    last: usize,
) -> Result<GeneratedCode, GenerateError> {
    let mut cells = parse_cells(notebook)?;
    cells.retain(|(code_cell, _)| code_cell.number <= last);
    for (code_cell, content) in &mut cells {
        if let Some(error) = excluded.get(&code_cell.number) {
            *content = Content::Error(error.clone());
        }
    }
    let uses_await = cells
        .iter()
        .any(|(_, content)| matches!(content, Content::Statements(cell) if cell.uses_await));
    let mut code = GeneratedCode::default();
    let mut segments = Vec::new();
    code.push("#![allow(warnings)]\n#![recursion_limit = \"1024\"]\nuse offmodel::prelude::*;");
    let keyword = if uses_await { "async fn" } else { "fn" };
    code.push(&format!("{keyword} __offmodel_cells() -> {CELL_RESULT} {{"));
    for (position, (code_cell, content)) in cells.iter().enumerate() {
        if position > 0 {
            code.push("{");
        }
        code.push(&format!("::offmodel::batch::begin({})?;", code_cell.number));
        match content {
            Content::Statements(cell) => {
                let (opening, closing) = around_statements(code_cell, cell);
                code.push(&opening);
                segments.push(push_statements(&mut code, notebook, code_cell, cell)?);
                // The semicolon ends a last statement that has none.
                code.push(&format!(";{closing}::offmodel::batch::end();"));
            }
            Content::Error(error) => {
                // None of the cell's lines are in the program, but it is one of its cells.
                segments.push(Segment {
                    cell: code_cell.number,
                    first_line: code.line_count() + 1,
                    lines: 0,
                });
                code.push(&error.statement());
            }
        }
    }
    code.push(&"}".repeat(cells.len().saturating_sub(1)));
    code.push("::std::result::Result::Ok(())\n}");
    push_main(&mut code, &segments, uses_await);
    Ok(code)
}

/// The content of a cell in a program.
pub(crate) enum Content {
    Statements(Cell),
    /// The cell may fail and does not compile.
    Error(ShownError),
}

/// Parses the cells that a program runs.
pub(crate) fn parse_cells(notebook: &Notebook) -> Result<Vec<(&CodeCell, Content)>, GenerateError> {
    let mut cells = Vec::new();
    for code_cell in notebook.executed_cells() {
        let content = match offmodel_cells::parse(&code_cell.source) {
            Ok(cell) => Content::Statements(cell),
            Err(reason) if code_cell.may_fail() => {
                Content::Error(ShownError::from_syntax(&code_cell.source, &reason))
            }
            Err(reason) => {
                return Err(GenerateError::Syntax {
                    notebook: notebook.path.clone(),
                    cell: code_cell.number,
                    reason,
                });
            }
        };
        cells.push((code_cell, content));
    }
    Ok(cells)
}

/// The lines of the program that hold a cell. The runtime finds the cell of a panic by them.
struct Segment {
    cell: usize,
    /// From 1.
    first_line: usize,
    lines: usize,
}

/// The code around the statements of a cell: the closure of one that may fail.
fn around_statements(code_cell: &CodeCell, cell: &Cell) -> (String, String) {
    match (code_cell.may_fail(), cell.uses_await) {
        (false, _) => (String::new(), String::new()),
        (true, false) => (
            format!("::offmodel::batch::allow(&__OFFMODEL_NOTEBOOK, {CELL_CLOSURE}"),
            "::std::result::Result::Ok(()) })?;".to_owned(),
        ),
        (true, true) => (
            "::offmodel::batch::allow_async(&__OFFMODEL_NOTEBOOK, async {".to_owned(),
            format!("{OK_OF_CELL} }}).await?;"),
        ),
    }
}

/// Appends the statements of a cell, with its parameters read and its tail expression displayed.
fn push_statements(
    code: &mut GeneratedCode,
    notebook: &Notebook,
    code_cell: &CodeCell,
    cell: &Cell,
) -> Result<Segment, GenerateError> {
    let mut text = CellText::new(cell);
    if code_cell.has_tag(PARAMETERS_TAG) {
        let declared = parameters(cell).map_err(|reason| GenerateError::Parameter {
            notebook: notebook.path.clone(),
            cell: code_cell.number,
            reason,
        })?;
        for parameter in &declared {
            text.insert(parameter.end, read_parameter(parameter));
        }
    }
    if let Some(tail) = &cell.tail {
        match show_position(cell, tail.start) {
            Some(position) => text.insert(position, SHOW_OPENING),
            None => code.push(SHOW_OPENING),
        }
        text.insert(tail.end, SHOW_CLOSING);
    }
    let segment = Segment {
        cell: code_cell.number,
        first_line: code.line_count() + 1,
        lines: code_cell.source.lines().count(),
    };
    text.append_to(code, code_cell.number, &code_cell.source);
    Ok(segment)
}

/// A second `let` after the user's. The first one stays, so that the compiler's messages about the
/// default refer to the user's line; values derived in the same cell see the second one.
fn read_parameter(parameter: &Parameter) -> String {
    let Parameter {
        name,
        type_text,
        mutable,
        ..
    } = parameter;
    let mutable = if *mutable { "mut " } else { "" };
    format!(" let {mutable}{name}: {type_text} = ::offmodel::batch::parameter(\"{name}\", {name});")
}

/// The byte offset at which to open the macro call around the tail expression; none for a line of
/// its own above the cell.
///
/// If the tail expression starts on a line of its own, the call opens at the end of the statement
/// before it, so that the expression keeps its columns.
fn show_position(cell: &Cell, tail: usize) -> Option<usize> {
    let statements = cell.statements.iter().map(|statement| statement.range.end);
    let items = cell.items.iter().map(|item| item.range.end);
    let previous = statements.chain(items).filter(|&end| end <= tail).max();
    match previous {
        None => None,
        Some(end) if cell.code[end..tail].contains('\n') => Some(end),
        Some(_) => Some(tail),
    }
}

fn push_main(code: &mut GeneratedCode, segments: &[Segment], uses_await: bool) {
    let (opening, closing) = if uses_await {
        ("::offmodel::batch::block_on(", ")")
    } else {
        ("", "")
    };
    let mut entries = String::new();
    for Segment {
        cell,
        first_line,
        lines,
    } in segments
    {
        // Writing to a string cannot fail.
        let _ = write!(
            entries,
            "::offmodel::batch::Segment {{ cell: {cell}, first_line: {first_line}, lines: {lines} }}, "
        );
    }
    code.push(&format!(
        "static __OFFMODEL_NOTEBOOK: ::offmodel::batch::Notebook = ::offmodel::batch::Notebook {{ file: {SOURCE_FILE:?}, segments: &[{entries}] }};"
    ));
    code.push(&format!(
        "fn main() {{ ::offmodel::batch::main(&__OFFMODEL_NOTEBOOK, || {opening}__offmodel_cells(){closing}) }}"
    ));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn program(cells: &[(&str, &[&str])]) -> String {
        let cells: Vec<_> = cells
            .iter()
            .enumerate()
            .map(|(index, (source, tags))| {
                serde_json::json!({
                    "cell_type": "code", "id": format!("cell-{index}"), "metadata": { "tags": tags }, "source": source,
                    "outputs": [], "execution_count": null,
                })
            })
            .collect();
        let document = serde_json::json!({
            "nbformat": 4, "nbformat_minor": 5, "cells": cells,
            "metadata": { "kernelspec": { "name": "offmodel", "display_name": "Rust" } },
        });
        let bytes = document.to_string().into_bytes();
        let notebook = Notebook::from_bytes(Path::new("test.ipynb"), &bytes).unwrap();
        generate(&notebook).unwrap().text().to_owned()
    }

    #[test]
    fn the_generated_text_is_stable() {
        let text = program(&[
            ("let seed: u64 = 1;", &["parameters"]),
            ("let a = seed;\na + 1\n", &[]),
            ("seed", &["raises-exception"]),
        ]);
        let expected = r#"#![allow(warnings)]
#![recursion_limit = "1024"]
use offmodel::prelude::*;
fn __offmodel_cells() -> ::std::result::Result<(), ::offmodel::live::Raised> {
::offmodel::batch::begin(1)?;
let seed: u64 = 1; let seed: u64 = ::offmodel::batch::parameter("seed", seed);
;::offmodel::batch::end();
{
::offmodel::batch::begin(2)?;
let a = seed;::offmodel::live::show!(
a + 1);
;::offmodel::batch::end();
{
::offmodel::batch::begin(3)?;
::offmodel::batch::allow(&__OFFMODEL_NOTEBOOK, || -> ::std::result::Result<(), ::offmodel::live::Raised> {
::offmodel::live::show!(
seed);
;::std::result::Result::Ok(()) })?;::offmodel::batch::end();
}}
::std::result::Result::Ok(())
}
static __OFFMODEL_NOTEBOOK: ::offmodel::batch::Notebook = ::offmodel::batch::Notebook { file: "notebook.rs", segments: &[::offmodel::batch::Segment { cell: 1, first_line: 6, lines: 1 }, ::offmodel::batch::Segment { cell: 2, first_line: 10, lines: 2 }, ::offmodel::batch::Segment { cell: 3, first_line: 17, lines: 1 }, ] };
fn main() { ::offmodel::batch::main(&__OFFMODEL_NOTEBOOK, || __offmodel_cells()) }
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn a_cell_that_may_fail_and_awaits_is_an_async_block() {
        let text = program(&[("f().await?;", &["raises-exception"])]);
        assert!(text.contains("async fn __offmodel_cells()"));
        assert!(text.contains(
            "::offmodel::batch::allow_async(&__OFFMODEL_NOTEBOOK, async {\nf().await?;\n;::std::result::Result::<(), ::offmodel::live::Raised>::Ok(()) }).await?;::offmodel::batch::end();"
        ));
        assert!(text.contains("|| ::offmodel::batch::block_on(__offmodel_cells())"));
    }
}
