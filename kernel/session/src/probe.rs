//! One short compiler call that answers two questions about a cell: what is wrong with it, and
//! which types have the variables that it leaves.
//!
//! The cell is compiled to metadata only, with `let () = x;` behind it for every variable `x`:
//! the compiler answers each with an error that says "this expression has type `T`". About 0.15 s
//! for all variables at once, on top of loading the prelude's metadata.

use std::collections::BTreeMap;
use std::fmt::Display;

use offmodel_cells::{Binding, Cell};
use offmodel_events::CellError;

use crate::closures::{self, ClosureBox};
use crate::diagnostics::{self, CellFile, Diagnostic};
use crate::environment::Environment;
use crate::notebook_state::{KnownItem, NotebookState, Variable};
use crate::source::{Origin, Source, blanked};
use crate::type_names::nameable;

/// What a cell that compiles leaves behind.
#[derive(Debug, Default, Clone)]
pub(crate) struct Probed {
    /// Variables whose types can be named: they are kept.
    pub kept: Vec<(String, Variable)>,
    /// Those that are closures.
    pub closures: BTreeMap<String, ClosureBox>,
    /// Variables that cannot be kept, with the reason.
    pub lost: Vec<(String, String)>,
}

impl Probed {
    /// Keeps none of the variables, whose types are unknown because of `error`.
    pub fn nothing(bindings: &[Binding], error: &CellError) -> Self {
        let reason = format!("its type could not be found out: {}", error.value);
        let lost = bindings
            .iter()
            .map(|binding| (binding.name.clone(), reason.clone()));
        Self {
            kept: vec![],
            closures: BTreeMap::new(),
            lost: lost.collect(),
        }
    }
}

/// The name of the file that is compiled.
pub(crate) const FILE: &str = "probe.rs";

/// Compiles a cell, to metadata only.
///
/// `state` has the cell's own items already, of cell `execution`, in place of those of the same
/// names.
pub(crate) fn probe(
    cell: &Cell,
    execution: usize,
    state: &NotebookState,
    environment: &Environment,
) -> Result<Probed, CellError> {
    let bindings = last_bindings(cell);
    let source = probe_source(cell, execution, &bindings, state);
    let diagnostics = compile(source.text(), environment)?;
    let (answers, errors): (Vec<_>, Vec<_>) = diagnostics
        .into_iter()
        .filter(Diagnostic::is_error)
        .partition(|error| asked(error, &source).is_some());
    if !errors.is_empty() {
        let file = CellFile {
            source: &source,
            cell: &cell.code,
            execution,
        };
        return Err(diagnostics::cell_error(&errors, &file, state));
    }
    Ok(sort_out(&bindings, &answers, &source))
}

/// Checks the generated code of a cell that evcxr could not compile, borrows included, and gives
/// the errors with lines of `statement`.
pub(crate) fn check(
    statement: &Source,
    state: &NotebookState,
    environment: &Environment,
) -> Result<Vec<Diagnostic>, CellError> {
    // On one line with the statement's first, so that all lines keep their numbers.
    let mut text = String::from("#![allow(warnings)] fn __cell() { ");
    text.push_str(statement.text());
    text.push_str("}\nuse offmodel::prelude::*;\n");
    for item in state.items() {
        text.push_str(&item.code);
        text.push('\n');
    }
    Ok(compile(&text, environment)?
        .into_iter()
        .filter(Diagnostic::is_error)
        .collect())
}

/// The variables that a cell leaves; of several with one name, the last.
pub(crate) fn last_bindings(cell: &Cell) -> Vec<Binding> {
    let mut bindings: Vec<Binding> = Vec::new();
    for binding in cell
        .statements
        .iter()
        .flat_map(|statement| &statement.bindings)
    {
        bindings.retain(|known| known.name != binding.name);
        bindings.push(binding.clone());
    }
    bindings
}

fn probe_source(
    cell: &Cell,
    execution: usize,
    bindings: &[Binding],
    state: &NotebookState,
) -> Source {
    let mut source = Source::default();
    source.generated("#![allow(warnings)]\nuse offmodel::prelude::*;");
    let earlier = |item: &&KnownItem| item.execution != execution;
    for item in state.items().iter().filter(earlier) {
        for (index, line) in item.code.lines().enumerate() {
            let origin = Origin::EarlierCell {
                execution: item.execution,
                line: item.first_line + index,
            };
            source.push_line(line, origin);
        }
    }
    let new_items = cell.items.iter().map(|item| item.range.clone());
    for range in new_items.clone() {
        // On its own first line, an item keeps the indentation that its columns count.
        let line = offmodel_cells::line_and_column(&cell.code, range.start).0;
        let start = offmodel_cells::byte_offset(&cell.code, line, 1);
        let indentation: String = cell.code[start..range.start].chars().map(|_| ' ').collect();
        source.cell(&format!("{indentation}{}", &cell.code[range]), line);
    }
    let keyword = if cell.uses_await { "async fn" } else { "fn" };
    source.generated(&format!("{keyword} __cell("));
    for (name, variable) in state.mentioned(cell) {
        let mutable = if variable.mutable { "mut " } else { "" };
        source.push(
            &format!("{mutable}{name}: {},", variable.type_name),
            &Origin::Earlier { name },
        );
    }
    source.generated(") -> std::result::Result<(), offmodel::live::Raised> {");
    let statements = blanked(&cell.code, new_items);
    match &cell.tail {
        None => source.cell(&statements, 1),
        Some(tail) => push_with_tail(&mut source, &statements, tail.start),
    }
    for (variable, binding) in bindings.iter().enumerate() {
        source.push_line(
            &format!("let () = {};", question(binding)),
            Origin::TypeQuestion { variable },
        );
    }
    source.generated("Ok(())\n}");
    source
}

/// The expression whose type tells about a variable.
fn question(binding: &Binding) -> String {
    match binding.closure {
        Some(parameters) if parameters <= closures::MOST_PARAMETERS => {
            closures::question(&binding.name, parameters)
        }
        _ => binding.name.clone(),
    }
}

/// What the probe inserts before the displayed expression.
pub(crate) const SHOWN: &str = "let __shown = ";

/// The statements with [`SHOWN`] before the last expression.
fn push_with_tail(source: &mut Source, statements: &str, tail: usize) {
    let (line, column) = offmodel_cells::line_and_column(statements, tail);
    let (before, after) = statements.split_at(tail);
    let text = format!("{before}{SHOWN}{after}");
    for (index, content) in text.lines().enumerate() {
        let number = index + 1;
        let (shift, by) = if number == line {
            (column, SHOWN.len())
        } else {
            (usize::MAX, 0)
        };
        source.push_line(
            content,
            Origin::Cell {
                line: number,
                shift,
                by,
            },
        );
    }
    source.generated(";");
}

pub(crate) fn compile(
    source: &str,
    environment: &Environment,
) -> Result<Vec<Diagnostic>, CellError> {
    std::fs::write(environment.folder.join(FILE), source)
        .map_err(|error| failure("write the cell for the compiler", error))?;
    let output = environment
        .toolchain
        .rustc_command()
        .args(environment.further_arguments())
        .args([
            "--crate-type",
            "lib",
            "--crate-name",
            "ctx",
            "--emit",
            "metadata",
        ])
        .args(["-o", "probe.rmeta"])
        // Both flags are unstable: without them, types are shortened beyond use.
        .args([
            "-Ztrim-diagnostic-paths=no",
            "-Zwrite-long-types-to-disk=no",
        ])
        .args(["--error-format", "json"])
        .arg("--json=diagnostic-rendered-ansi")
        .arg(FILE)
        // Messages name the file as it is given here.
        .current_dir(&environment.folder)
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .map_err(|error| failure("start the compiler", error))?;
    Ok(diagnostics::parse(&output.stderr))
}

/// What a compiler call failed at that never got to the cell.
pub(crate) fn failure(what: &str, error: impl Display) -> CellError {
    CellError::new("compile error", format!("failed to {what}: {error}"))
}

/// The variable whose type an error tells.
fn asked(error: &Diagnostic, source: &Source) -> Option<usize> {
    match source.origin(error.primary()?.line_start) {
        Origin::TypeQuestion { variable } => Some(*variable),
        _ => None,
    }
}

fn sort_out(bindings: &[Binding], answers: &[Diagnostic], source: &Source) -> Probed {
    let mut probed = Probed::default();
    for (index, binding) in bindings.iter().enumerate() {
        let answer = answers
            .iter()
            .find(|error| asked(error, source) == Some(index));
        let told = answer.map(told_type);
        let name = binding.name.clone();
        let known = match told {
            _ if binding.closure.is_some() => ClosureBox::from_answer(told.flatten().as_deref())
                .map(|closure| {
                    let type_name = closure.to_string();
                    probed.closures.insert(name.clone(), closure);
                    type_name
                }),
            // No complaint about `let () = x;` means that x is `()`.
            None => Ok("()".to_owned()),
            Some(Some(told)) => nameable(&told),
            Some(None) if answer.is_some_and(|error| error.code() == Some("E0382")) => continue,
            Some(None) => {
                Err("its type could not be found out; give it one in its `let`".to_owned())
            }
        };
        match known {
            Ok(type_name) => {
                let mutable = binding.mutable;
                probed.kept.push((name, Variable { type_name, mutable }));
            }
            Err(reason) => probed.lost.push((name, reason)),
        }
    }
    probed
}

/// The type in the label "this expression has type `T`".
pub(crate) fn told_type(error: &Diagnostic) -> Option<String> {
    error.spans.iter().find_map(|span| {
        let label = span.label.as_deref()?;
        let start = label.find("this expression has type `")? + "this expression has type `".len();
        label[start..].strip_suffix('`').map(str::to_owned)
    })
}
