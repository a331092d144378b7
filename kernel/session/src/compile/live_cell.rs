//! The code that evcxr compiles for the statements of a cell.

use offmodel_cells::Cell;
use offmodel_cells::generated::{
    CELL_CLOSURE, CellText, GeneratedCode, OK_OF_CELL, SHOW_CLOSING, SHOW_OPENING,
};
use offmodel_toolchain::extra_crates::SHARED_CRATE;

use super::outgoing::{NewVariable, OutgoingVariables, StoreLine};
use crate::notebook::NotebookState;

/// Generates the statement that runs a cell.
///
/// ```text
/// {
///     forget(&["z"]);                        // stale values
///     let mut x: T = take("x");              // earlier variables that the cell mentions
///     let outcome = run(3, line!(), || {
///         ...the cell...
///         put("y", y);                       // new variables
///         Ok(())
///     });
///     if outcome.failed() { put("x", x); }   // if the cell also defines a new `x`
/// }
/// ```
///
/// Without a new `x`, the earlier one is always put back. The closure does not `move`: a variable
/// that the cell only borrows stays outside of it, so that it survives a panic or a failed `?`.
///
/// With `links_shared_crates`, the cell is linked with the library of the crates of `:dep` lines.
pub(crate) fn live_cell(
    cell: &Cell,
    execution: usize,
    state: &NotebookState,
    outgoing: &OutgoingVariables,
    links_shared_crates: bool,
) -> GeneratedCode<StoreLine> {
    let mentioned = state.variables().mentioned_in(&cell.code);
    let mut code = GeneratedCode::default();
    code.push("{");
    if links_shared_crates {
        code.push(&format!("use ::{SHARED_CRATE} as _;"));
    }
    let stale: Vec<String> = state
        .variables()
        .stale()
        .map(|name| format!("\"{name}\""))
        .collect();
    if !stale.is_empty() {
        code.push(&format!(
            "::offmodel::live::forget(&[{}]);",
            stale.join(", ")
        ));
    }
    for (name, variable) in &mentioned {
        let mutable = if variable.mutable { "mut " } else { "" };
        let declaration = format!("let {mutable}{name}: {}", variable.type_name);
        code.push_shortened(
            &format!("{declaration} = ::offmodel::live::take(\"{name}\");"),
            &declaration,
        );
    }
    let (opening, closing) = if cell.uses_await {
        ("::offmodel::live::block_on(async {", "})")
    } else {
        ("{", "}")
    };
    // `line!()` is the number of this line: the runtime counts the lines of the cell from it.
    code.push(&format!(
        "let __outcome = ::offmodel::live::run({execution}, line!(), {CELL_CLOSURE} {opening}"
    ));
    push_statements(&mut code, cell, execution);
    for NewVariable { name, closure, .. } in outgoing.new_variables() {
        let value = match closure {
            Some(closure_box) => format!("std::boxed::Box::new({name}) as {closure_box}"),
            None => name.clone(),
        };
        code.push_labelled(
            &format!("::offmodel::live::put(\"{name}\", {value});"),
            StoreLine::New { name: name.clone() },
        );
    }
    code.push(OK_OF_CELL);
    code.push(&format!("{closing} }});"));
    let not_moved = mentioned
        .iter()
        .filter(|(name, _)| !outgoing.is_moved(name));
    for (name, _) in not_moved {
        let is_replaced = outgoing.new_variables().any(|new| new.name == *name);
        let condition = if is_replaced {
            "if __outcome.failed() "
        } else {
            ""
        };
        code.push_labelled(
            &format!("{condition}{{ ::offmodel::live::put(\"{name}\", {name}); }}"),
            StoreLine::Earlier {
                name: (*name).to_owned(),
            },
        );
    }
    code.push("};");
    code
}

/// Appends the statements of a cell, with its tail expression displayed.
fn push_statements(code: &mut GeneratedCode<StoreLine>, cell: &Cell, execution: usize) {
    let mut text = CellText::without_items(cell);
    if let Some(tail) = &cell.tail {
        text.insert(tail.start, SHOW_OPENING);
    }
    text.append_to(code, execution, &cell.code);
    if cell.tail.is_some() {
        code.push(SHOW_CLOSING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::last_bindings;
    use crate::notebook::Variable;

    #[test]
    fn a_cell_takes_earlier_variables_and_puts_new_ones() {
        let mut state = NotebookState::default();
        let variables = state.variables_mut();
        variables.insert(
            "x",
            Variable {
                type_name: "i32".to_owned(),
                mutable: true,
            },
        );
        variables.insert(
            "unused",
            Variable {
                type_name: "i32".to_owned(),
                mutable: false,
            },
        );
        variables.drop_variable("z", "a cell moved it");
        let cell = offmodel_cells::parse("fn f() {}\nlet y = x;\ny").unwrap();
        let outgoing = OutgoingVariables::new(&last_bindings(&cell), &Default::default());
        let code = live_cell(&cell, 3, &state, &outgoing, false);
        let expected = r#"{
::offmodel::live::forget(&["z"]);
let mut x: i32 = ::offmodel::live::take("x");
let __outcome = ::offmodel::live::run(3, line!(), || -> ::std::result::Result<(), ::offmodel::live::Raised> { {
         
let y = x;
::offmodel::live::show!(y
);
::offmodel::live::put("y", y);
::std::result::Result::<(), ::offmodel::live::Raised>::Ok(())
} });
{ ::offmodel::live::put("x", x); }
};
"#;
        assert_eq!(code.text(), expected);
    }
}
