//! The code that evcxr compiles for a cell: its items, and its statements between code that
//! takes variables out of the store and puts them back.

use offmodel_cells::Cell;

use crate::notebook_state::{NotebookState, Variable};
use crate::source::{Origin, Source, blanked};

/// What differs between the attempts to compile a cell: variables that the cell moves cannot be
/// put back, and variables that turn out to borrow cannot be kept.
#[derive(Debug, Default, Clone)]
pub(crate) struct Exceptions {
    /// Earlier variables that the cell moves.
    pub moved: Vec<String>,
    /// New variables that are not kept.
    pub unkept: Vec<String>,
}

impl Exceptions {
    /// How many are known.
    pub fn len(&self) -> usize {
        self.moved.len() + self.unkept.len()
    }

    /// Does not keep these variables.
    pub fn leave_out<'a>(&mut self, names: impl Iterator<Item = &'a String>) {
        for name in names {
            if !self.unkept.contains(name) {
                self.unkept.push(name.clone());
            }
        }
    }
}

/// The statement that runs the cell, which leaves the variables `leaves`.
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
/// The closure does not `move`: what the cell only borrows stays outside, so that it survives a
/// panic or a failed `?`.
pub(crate) fn cell_statement(
    cell: &Cell,
    execution: usize,
    state: &NotebookState,
    leaves: &[String],
    exceptions: &Exceptions,
) -> Source {
    let mentioned: Vec<(String, Variable)> = state.mentioned(cell);
    let mut source = Source::default();
    source.generated("{");
    let stale: Vec<String> = state.stale().map(|name| format!("\"{name}\"")).collect();
    if !stale.is_empty() {
        source.generated(&format!(
            "::offmodel::live::forget(&[{}]);",
            stale.join(", ")
        ));
    }
    for (name, variable) in &mentioned {
        let mutable = if variable.mutable { "mut " } else { "" };
        source.generated(&format!(
            "let {mutable}{name}: {} = ::offmodel::live::take(\"{name}\");",
            variable.type_name
        ));
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
    let kept = leaves
        .iter()
        .filter(|name| !exceptions.unkept.contains(name));
    for name in kept.clone() {
        source.push_line(
            &format!("::offmodel::live::put(\"{name}\", {name});"),
            Origin::Variable { name: name.clone() },
        );
    }
    source.generated("::std::result::Result::<(), ::offmodel::live::Raised>::Ok(())");
    source.generated(&format!("{closing} }});"));
    for (name, _) in mentioned
        .iter()
        .filter(|(name, _)| !exceptions.moved.contains(name))
    {
        let replaced = kept.clone().any(|new| new == name);
        let condition = if replaced {
            "if __outcome.failed() "
        } else {
            ""
        };
        source.push_line(
            &format!("{condition}{{ ::offmodel::live::put(\"{name}\", {name}); }}"),
            Origin::Variable { name: name.clone() },
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
            format!("{before}::offmodel::live::show!({after}")
        }
    }
}
