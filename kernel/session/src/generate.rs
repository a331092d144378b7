//! The code that evcxr compiles for a cell: its items, and its statements between code that
//! takes variables out of the store and puts them back.

use offmodel_cells::Cell;
use offmodel_toolchain::extra_crates::SHARED_CRATE;

use crate::leaves::{Leaf, Leaves};
use crate::notebook_state::{NotebookState, Variable};
use crate::source::{Origin, Source, blanked};

/// What opens the call around a displayed expression.
pub(crate) const SHOW: &str = "::offmodel::live::show!(";

/// The statement that runs the cell, which leaves variables.
///
/// ```text
/// {
///     forget(&["z"]);                        // values that no cell can reach any more
///     let mut x: T = take("x");              // earlier variables that the cell mentions
///     let outcome = run(line!(), || {
///         ...the cell...
///         put("y", y);                       // variables that it leaves
///         Ok(())
///     });
///     if outcome.failed() { put("x", x); }   // also when y was meant to replace it
/// }
/// ```
///
/// With `shares_crates`, the cell is linked with the library of the crates of `:dep` lines.
///
/// The closure does not `move`: what the cell only borrows stays outside, so that it survives a
/// panic or a failed `?`.
pub(crate) fn cell_statement(
    cell: &Cell,
    execution: usize,
    state: &NotebookState,
    leaves: &Leaves,
    shares_crates: bool,
) -> Source {
    let mentioned: Vec<(String, Variable)> = state.mentioned(cell);
    let mut source = Source::default();
    source.generated("{");
    if shares_crates {
        source.generated(&format!("use ::{SHARED_CRATE} as _;"));
    }
    let stale: Vec<String> = state.stale().map(|name| format!("\"{name}\"")).collect();
    if !stale.is_empty() {
        source.generated(&format!(
            "::offmodel::live::forget(&[{}]);",
            stale.join(", ")
        ));
    }
    for (name, variable) in &mentioned {
        let mutable = if variable.mutable { "mut " } else { "" };
        let declaration = format!("let {mutable}{name}: {}", variable.type_name);
        source.push_line(
            &format!("{declaration} = ::offmodel::live::take(\"{name}\");"),
            Origin::Taken { declaration },
        );
    }
    let (opening, closing) = if cell.uses_await {
        ("::offmodel::live::block_on(async {", "})")
    } else {
        ("{", "}")
    };
    source.generated(&format!(
        "let __outcome = ::offmodel::live::run({execution}, line!(), || -> ::std::result::Result<(), ::offmodel::live::Raised> {{ {opening}"
    ));
    source.cell(&statements(cell), 1);
    if cell.tail.is_some() {
        source.generated(");");
    }
    for Leaf { name, closure, .. } in leaves.kept() {
        let value = match closure {
            Some(type_name) => format!("std::boxed::Box::new({name}) as {type_name}"),
            None => name.clone(),
        };
        source.push_line(
            &format!("::offmodel::live::put(\"{name}\", {value});"),
            Origin::New { name: name.clone() },
        );
    }
    source.generated("::std::result::Result::<(), ::offmodel::live::Raised>::Ok(())");
    source.generated(&format!("{closing} }});"));
    for (name, _) in mentioned
        .iter()
        .filter(|(name, _)| !leaves.moved().contains(name))
    {
        let replaced = leaves.kept().any(|new| new.name == *name);
        let condition = if replaced {
            "if __outcome.failed() "
        } else {
            ""
        };
        source.push_line(
            &format!("{condition}{{ ::offmodel::live::put(\"{name}\", {name}); }}"),
            Origin::Earlier { name: name.clone() },
        );
    }
    source.generated("};");
    source
}

/// The cell without its items, the last expression handed to `show!`.
fn statements(cell: &Cell) -> String {
    let text = blanked(&cell.code, cell.items.iter().map(|item| item.range.clone()));
    match &cell.tail {
        None => text,
        Some(tail) => {
            let (before, after) = text.split_at(tail.start);
            format!("{before}{SHOW}{after}")
        }
    }
}
