//! One compiler call that finds the errors of a cell and the types of the variables that it leaves.
//!
//! The cell is compiled to metadata, followed by `let () = x;` for every variable `x`: rustc answers
//! each of these lines with an error that says "this expression has type `T`". For all variables
//! together that takes about 0.15 s, in addition to loading the prelude's metadata.

use std::collections::BTreeMap;

use offmodel_cells::generated::{BIND_TAIL, CELL_RESULT, CellText, GeneratedCode};
use offmodel_cells::{Binding, Cell, byte_offset, line_and_column};
use offmodel_events::CellError;

use super::cell_error::cell_error;
use super::closure_box::{self, ClosureBox};
use super::diagnostics::Diagnostic;
use super::rustc::{compile_to_metadata, type_in_message};
use super::type_names::nameable;
use crate::environment::Environment;
use crate::notebook::{Definition, NotebookState, Variable};

/// The types of the variables that a cell leaves.
#[derive(Debug, Default, Clone)]
pub(crate) struct ProbedTypes {
    /// Variables whose types can be named.
    pub named: Vec<(String, Variable)>,
    /// The boxes of those that are closures.
    pub closures: BTreeMap<String, ClosureBox>,
    /// Variables whose types cannot be named, with the reason.
    pub unnamed: Vec<(String, String)>,
}

impl ProbedTypes {
    /// The result for a cell that ran although its probe failed with `error`: no type is known.
    pub(crate) fn unknown(bindings: &[Binding], error: &CellError) -> Self {
        let reason = format!("its type could not be determined: {}", error.value);
        let unnamed = bindings
            .iter()
            .map(|binding| (binding.name.clone(), reason.clone()));
        Self {
            unnamed: unnamed.collect(),
            ..Self::default()
        }
    }
}

/// Probes a cell. `state` already holds the items of the cell, which is number `execution`.
///
/// # Errors
/// When the cell does not compile, or the compiler does not start.
pub(crate) fn probe(
    cell: &Cell,
    execution: usize,
    state: &NotebookState,
    environment: &Environment,
) -> Result<ProbedTypes, CellError> {
    let bindings = last_bindings(cell);
    let code = probe_code(cell, execution, &bindings, state);
    let (answers, errors): (Vec<_>, Vec<_>) = compile_to_metadata(code.text(), environment)?
        .into_iter()
        .filter(Diagnostic::is_error)
        .partition(|error| probed_binding(error, &code).is_some());
    if !errors.is_empty() {
        return Err(cell_error(&errors, &code, execution, state.variables()));
    }
    Ok(collect_types(&bindings, &answers, &code))
}

/// The variables that a cell leaves; of several with the same name, the last.
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

/// The label of a line `let () = x;`: the index of the binding.
type ProbedBinding = usize;

fn probe_code(
    cell: &Cell,
    execution: usize,
    bindings: &[Binding],
    state: &NotebookState,
) -> GeneratedCode<ProbedBinding> {
    let mut code = GeneratedCode::default();
    code.push("#![allow(warnings)]\nuse offmodel::prelude::*;");
    let is_earlier = |item: &&Definition| item.execution != execution;
    for item in state.definitions().iter().filter(is_earlier) {
        code.push_cell_lines(item.execution, item.first_line, &item.code);
    }
    for item in &cell.items {
        // Blanks before the first line keep its columns.
        let line = line_and_column(&cell.code, item.range.start).0;
        let line_start = byte_offset(&cell.code, line, 1);
        let before = &cell.code[line_start..item.range.start];
        let indentation: String = before.chars().map(|_| ' ').collect();
        let text = format!("{indentation}{}", &cell.code[item.range.clone()]);
        code.push_cell_lines(execution, line, &text);
    }
    let keyword = if cell.uses_await { "async fn" } else { "fn" };
    code.push(&format!("{keyword} __cell("));
    for (name, variable) in state.variables().mentioned_in(&cell.code) {
        let mutable = if variable.mutable { "mut " } else { "" };
        code.push(&format!("{mutable}{name}: {},", variable.type_name));
    }
    code.push(&format!(") -> {CELL_RESULT} {{"));
    let mut text = CellText::without_items(cell);
    if let Some(tail) = &cell.tail {
        text.insert(tail.start, BIND_TAIL);
    }
    text.append_to(&mut code, execution, &cell.code);
    if cell.tail.is_some() {
        code.push(";");
    }
    for (index, binding) in bindings.iter().enumerate() {
        code.push_labelled(&format!("let () = {};", typed_expression(binding)), index);
    }
    code.push("Ok(())\n}");
    code
}

/// The expression whose type describes a variable. A closure's own type has no name, so its
/// signature is probed instead.
fn typed_expression(binding: &Binding) -> String {
    match binding.closure_parameters {
        Some(parameters) if parameters <= closure_box::MAX_PARAMETERS => {
            closure_box::signature_expression(&binding.name, parameters)
        }
        _ => binding.name.clone(),
    }
}

/// The index of the binding whose type an error states.
fn probed_binding(error: &Diagnostic, code: &GeneratedCode<ProbedBinding>) -> Option<usize> {
    code.label(error.primary()?.line_start).copied()
}

fn collect_types(
    bindings: &[Binding],
    answers: &[Diagnostic],
    code: &GeneratedCode<ProbedBinding>,
) -> ProbedTypes {
    let mut types = ProbedTypes::default();
    for (index, binding) in bindings.iter().enumerate() {
        let answer = answers
            .iter()
            .find(|error| probed_binding(error, code) == Some(index));
        let name = binding.name.clone();
        let type_name = match answer.map(|error| (error, type_in_message(error))) {
            answer if binding.closure_parameters.is_some() => {
                let signature = answer.and_then(|(_, signature)| signature);
                ClosureBox::from_signature(signature.as_deref()).map(|closure| {
                    let type_name = closure.to_string();
                    types.closures.insert(name.clone(), closure);
                    type_name
                })
            }
            // `let () = x;` is only correct if x is `()`.
            None => Ok("()".to_owned()),
            Some((_, Some(type_name))) => nameable(&type_name),
            // The cell itself moves the variable. The compilation of the whole cell excludes it,
            // with a better reason.
            Some((error, None)) if error.code() == Some("E0382") => continue,
            Some((_, None)) => {
                Err("its type could not be determined; declare it in its `let`".to_owned())
            }
        };
        match type_name {
            Ok(type_name) => {
                let mutable = binding.mutable;
                types.named.push((name, Variable { type_name, mutable }));
            }
            Err(reason) => types.unnamed.push((name, reason)),
        }
    }
    types
}
