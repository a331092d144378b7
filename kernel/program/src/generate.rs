//! The Rust program of a notebook.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use offmodel_cells::parameters::{Parameter, parameters};
use offmodel_cells::{Cell, line_and_column};
use offmodel_toolchain::extra_crates::{CrateRequest, CrateRequestError};

use crate::notebook::PARAMETERS_TAG;
use crate::refusal::{Refusal, Refusals};
use crate::source::{Insertion, Source};
use crate::{CodeCell, Notebook};

/// The name of the generated file, as it appears in locations of panics and failed `?`.
pub(crate) const FILE: &str = "notebook.rs";

/// What opens the call around a displayed expression.
pub(crate) const SHOW: &str = "::offmodel::live::show!(";

/// A notebook that cannot be a program, whatever the compiler would say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A cell that is not a sequence of Rust statements.
    #[error("{}, cell {cell}: {reason}", notebook.display())]
    Syntax {
        /// The notebook.
        notebook: PathBuf,
        /// The cell's number.
        cell: usize,
        /// Line, column and what is wrong.
        reason: offmodel_cells::ParseError,
    },
    /// A declaration that cannot be a parameter.
    #[error("{}, cell {cell}, {reason}", notebook.display())]
    Parameter {
        /// The notebook.
        notebook: PathBuf,
        /// The cell's number.
        cell: usize,
        /// Line and what is wrong.
        reason: offmodel_cells::parameters::ParameterError,
    },
    /// A `:dep` line that asks for nothing that could be built.
    #[error("{}, cell {cell}, line {line}: {reason}", notebook.display())]
    Dependency {
        /// The notebook.
        notebook: PathBuf,
        /// The cell's number.
        cell: usize,
        /// Line in the cell, from 1.
        line: usize,
        /// What is wrong with it.
        reason: CrateRequestError,
    },
}

/// Generates the program.
///
/// ```text
/// fn __offmodel_cells() -> Result<(), Raised> {
///     begin(1)?;
///     ...cell 1...
///     end();
///     {
///         begin(2)?;
///         ...cell 2: sees all of cell 1, and may define its names anew...
///         end();
///     }
///     Ok(())
/// }
/// ```
///
/// Nesting is what lets items be defined anew: two functions of one name cannot stand in one
/// block, while an inner block's hides the outer's. Cells keep their lines, and their columns
/// wherever possible, so that the compiler's messages fit.
///
/// A cell that may fail is the body of a closure. What it defines is seen by no other cell: it
/// might have failed before it did. One that is not even Rust is left out, and the program shows
/// that as the cell's error.
///
/// # Errors
/// When a cell that must not fail is not Rust, or uses what programs do not have.
pub fn generate(notebook: &Notebook) -> Result<Source, GenerateError> {
    generate_without(notebook, &Refusals::new(), usize::MAX)
}

/// As [`generate`], without the statements of cells that do not compile, and without the cells
/// behind the one of number `last`.
pub(crate) fn generate_without(
    notebook: &Notebook,
    refusals: &Refusals,
    last: usize,
) -> Result<Source, GenerateError> {
    let mut cells = read_all(notebook)?;
    cells.retain(|(code, _)| code.number <= last);
    for (code, content) in &mut cells {
        if let Some(refusal) = refusals.get(&code.number) {
            *content = Content::Refused(refusal.clone());
        }
    }
    let uses_await = cells
        .iter()
        .any(|(_, content)| matches!(content, Content::Statements(cell) if cell.uses_await));
    let mut source = Source::default();
    source.push("#![allow(warnings)]\n#![recursion_limit = \"1024\"]\nuse offmodel::prelude::*;");
    let keyword = if uses_await { "async fn" } else { "fn" };
    source.push(&format!(
        "{keyword} __offmodel_cells() -> ::std::result::Result<(), ::offmodel::live::Raised> {{"
    ));
    for (position, (code, content)) in cells.iter().enumerate() {
        if position > 0 {
            source.push("{");
        }
        source.push(&format!("::offmodel::batch::begin({})?;", code.number));
        match content {
            Content::Statements(cell) => {
                let (opening, closing) = around(code, cell);
                source.push(opening);
                push_cell(&mut source, notebook, code, cell)?;
                // The semicolon ends a last statement that has none.
                source.push(&format!(";{closing}::offmodel::batch::end();"));
            }
            Content::Refused(refusal) => {
                // No line of it is in the program, but it is one of its cells.
                source.push_cell(code.number, "", "", Vec::new());
                source.push(&refusal.statement());
            }
        }
    }
    source.push(&"}".repeat(cells.len().saturating_sub(1)));
    source.push("::std::result::Result::Ok(())\n}");
    push_main(&mut source, uses_await);
    Ok(source)
}

/// What stands around the statements of a cell: the closure of one that may fail.
fn around(code: &CodeCell, cell: &Cell) -> (&'static str, &'static str) {
    match (code.may_fail(), cell.uses_await) {
        (false, _) => ("", ""),
        (true, false) => (
            "::offmodel::batch::allow(&__OFFMODEL_NOTEBOOK, || -> ::std::result::Result<(), ::offmodel::live::Raised> {",
            "::std::result::Result::Ok(()) })?;",
        ),
        (true, true) => (
            "::offmodel::batch::allow_async(&__OFFMODEL_NOTEBOOK, async {",
            "::std::result::Result::<(), ::offmodel::live::Raised>::Ok(()) }).await?;",
        ),
    }
}

/// A crate that a `:dep` line asks for, and where that stands.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub cell: usize,
    pub line: usize,
    pub request: CrateRequest,
}

/// The `:dep` lines of a notebook, in order; relative paths are from the notebook's folder.
pub(crate) fn dependencies(notebook: &Notebook) -> Result<Vec<Dependency>, GenerateError> {
    let folder = notebook.path.parent().unwrap_or(Path::new("."));
    let mut dependencies = Vec::new();
    for (code, content) in read_all(notebook)? {
        let Content::Statements(cell) = content else {
            continue;
        };
        for command in cell.commands.iter().filter(|command| command.name == "dep") {
            let request = CrateRequest::parse(&command.arguments, folder).map_err(|reason| {
                GenerateError::Dependency {
                    notebook: notebook.path.clone(),
                    cell: code.number,
                    line: command.line,
                    reason,
                }
            })?;
            dependencies.push(Dependency {
                cell: code.number,
                line: command.line,
                request,
            });
        }
    }
    Ok(dependencies)
}

/// What a cell becomes in a program.
enum Content {
    Statements(Cell),
    /// It may fail and does not compile.
    Refused(Refusal),
}

fn read_all(notebook: &Notebook) -> Result<Vec<(&CodeCell, Content)>, GenerateError> {
    let mut cells = Vec::new();
    for code in notebook.executed() {
        let content = match offmodel_cells::parse(&code.source) {
            Ok(cell) => Content::Statements(cell),
            Err(reason) if code.may_fail() => {
                Content::Refused(Refusal::of_syntax(&code.source, &reason))
            }
            Err(reason) => {
                return Err(GenerateError::Syntax {
                    notebook: notebook.path.clone(),
                    cell: code.number,
                    reason,
                });
            }
        };
        cells.push((code, content));
    }
    Ok(cells)
}

fn push_cell(
    source: &mut Source,
    notebook: &Notebook,
    code: &CodeCell,
    cell: &Cell,
) -> Result<(), GenerateError> {
    let mut insertions = Insertions::default();
    if code.has_tag(PARAMETERS_TAG) {
        let declared = parameters(cell).map_err(|reason| GenerateError::Parameter {
            notebook: notebook.path.clone(),
            cell: code.number,
            reason,
        })?;
        for parameter in &declared {
            insertions.add(parameter.end, read_parameter(parameter));
        }
    }
    if let Some(tail) = &cell.tail {
        match show_position(cell, tail.start) {
            Some(position) => insertions.add(position, SHOW.to_owned()),
            None => source.push(SHOW),
        }
        insertions.add(tail.end, ");".to_owned());
    }
    let (text, inserted) = insertions.apply(&cell.code);
    source.push_cell(code.number, &code.source, &text, inserted);
    Ok(())
}

/// A second `let` behind the one of the user: the first keeps the compiler's messages about the
/// default where they belong, and values derived from it in the same cell see the second.
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

/// Where to open the macro call around the displayed expression: `None` is the line above the
/// cell. Behind the previous statement rather than before the expression, if that is on another
/// line, so that the expression keeps its columns.
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

fn push_main(source: &mut Source, uses_await: bool) {
    let (opening, closing) = if uses_await {
        ("::offmodel::batch::block_on(", ")")
    } else {
        ("", "")
    };
    let mut segments = String::new();
    for segment in &source.segments {
        // Writing to a string cannot fail.
        let _ = write!(
            segments,
            "::offmodel::batch::Segment {{ cell: {}, first_line: {}, lines: {} }}, ",
            segment.cell,
            segment.first_line,
            segment.original.len()
        );
    }
    source.push(&format!(
        "static __OFFMODEL_NOTEBOOK: ::offmodel::batch::Notebook = ::offmodel::batch::Notebook {{ file: {FILE:?}, segments: &[{segments}] }};"
    ));
    source.push(&format!(
        "fn main() {{ ::offmodel::batch::main(&__OFFMODEL_NOTEBOOK, || {opening}__offmodel_cells(){closing}) }}"
    ));
}

/// Code to insert into a cell, by byte offset.
#[derive(Default)]
struct Insertions(Vec<(usize, String)>);

impl Insertions {
    fn add(&mut self, offset: usize, code: String) {
        self.0.push((offset, code));
    }

    /// The text with everything inserted, and where that is.
    fn apply(mut self, text: &str) -> (String, Vec<Insertion>) {
        self.0.sort_by_key(|(offset, _)| *offset);
        let mut result = String::with_capacity(text.len() + 64 * self.0.len());
        let mut taken = 0;
        let mut insertions = Vec::new();
        for (offset, code) in &self.0 {
            result.push_str(&text[taken..*offset]);
            result.push_str(code);
            taken = *offset;
            let (line, column) = line_and_column(text, *offset);
            insertions.push(Insertion {
                line,
                column,
                length: code.chars().count(),
            });
        }
        result.push_str(&text[taken..]);
        (result, insertions)
    }
}
