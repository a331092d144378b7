//! Cells that may fail and do not compile: the program shows the compiler's words as their output,
//! as the live kernel does, and goes on behind them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Command;

use offmodel_cells::ParseError;
use offmodel_cells::rendering::headline;
use offmodel_toolchain::Toolchain;
use offmodel_toolchain::extra_crates::ExtraCrates;

use crate::diagnostics::{self, CellDiagnostic};
use crate::generate::{FILE, generate_without};
use crate::source::Source;
use crate::{GenerateError, Notebook};

/// What the compiler puts before the name of an item in a cell, where it does not shorten paths.
const CELLS_PATH: &str = "__offmodel_cells::";

/// Refused cells, by number.
pub(crate) type Refusals = BTreeMap<usize, Refusal>;

/// The error of a cell that does not compile, in the words of the live kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    value: String,
    traceback: Vec<String>,
    line: Option<usize>,
}

impl Refusal {
    /// Of a cell that is no Rust.
    pub fn of_syntax(source: &str, error: &ParseError) -> Self {
        Self {
            value: headline(&error.message, error.line, error.column),
            traceback: vec![error.rendered(source)],
            line: Some(error.line),
        }
    }

    /// Of a cell with these errors; `None` if there are none.
    fn of_errors(errors: &[&CellDiagnostic]) -> Option<Self> {
        let first = errors.first()?;
        Some(Self {
            value: headline(&as_named(&first.message), first.line, first.column),
            traceback: errors
                .iter()
                .map(|error| as_named(&error.rendered))
                .collect(),
            line: Some(first.line),
        })
    }

    /// The statement that shows it in the cell's place.
    pub fn statement(&self) -> String {
        // Rust's own notation for a text is what `Debug` writes.
        format!(
            "::offmodel::batch::refuse({:?}, &{:?}, ::std::option::Option::{:?});",
            self.value, self.traceback, self.line
        )
    }
}

/// Without the paths of items within the program: a cell names them by their names alone.
fn as_named(text: &str) -> String {
    let mut named = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, path)) = rest.split_once(CELLS_PATH) {
        named.push_str(before);
        rest = path;
        // `{closure#2}::`, of a cell that may fail.
        while let Some((_, inner)) = rest
            .strip_prefix("{closure#")
            .and_then(|closure| closure.split_once("}::"))
            .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
        {
            rest = inner;
        }
    }
    named.push_str(rest);
    named
}

/// Which of a notebook's cells may be left out for a program that does not compile, with what the
/// live kernel would show. Those in `known` are left out already.
///
/// Each is compiled with the cells before it and without those behind it, as the live kernel sees
/// it: what the compiler says about the whole program depends on how far it gets in other cells.
///
/// # Errors
/// When the program cannot be generated, or the compiler does not start.
pub(crate) fn further_refusals(
    notebook: &Notebook,
    errors: &[CellDiagnostic],
    known: &Refusals,
    check: &Check<'_>,
) -> Result<Refusals, CheckError> {
    let is_open = |cell: &usize| !known.contains_key(cell);
    let suspects: Vec<usize> = notebook
        .executed()
        .filter(|code| code.may_fail())
        .map(|code| code.number)
        .filter(is_open)
        .filter(|cell| errors.iter().any(|error| error.cell == *cell))
        .collect();
    let mut refusals = Refusals::new();
    for &suspect in &suspects {
        let mut others = known.clone();
        others.extend(
            suspects
                .iter()
                .filter(|other| **other != suspect)
                .map(|other| (*other, Refusal::default())),
        );
        let source = generate_without(notebook, &others, suspect)?;
        let alone = check.errors(&source)?;
        let of = |errors: &[CellDiagnostic]| {
            let own: Vec<&CellDiagnostic> = errors
                .iter()
                .filter(|error| error.cell == suspect)
                .collect();
            Refusal::of_errors(&own)
        };
        // One that compiles alone is at odds with a cell behind it.
        if let Some(refusal) = of(&alone).or_else(|| of(errors)) {
            refusals.insert(suspect, refusal);
        }
    }
    Ok(refusals)
}

/// Why cells could not be looked at one by one.
#[derive(Debug)]
pub(crate) enum CheckError {
    Generate(GenerateError),
    Write(io::Error),
    Start(io::Error),
}

impl From<GenerateError> for CheckError {
    fn from(error: GenerateError) -> Self {
        Self::Generate(error)
    }
}

/// A call of the compiler for its words alone, with the options of the live kernel.
#[derive(Debug)]
pub(crate) struct Check<'a> {
    pub toolchain: &'a Toolchain,
    pub further: &'a ExtraCrates,
    pub workplace: &'a Path,
}

impl Check<'_> {
    fn errors(&self, source: &Source) -> Result<Vec<CellDiagnostic>, CheckError> {
        std::fs::write(self.workplace.join(FILE), &source.text).map_err(CheckError::Write)?;
        let output = self
            .command()
            .current_dir(self.workplace)
            .output()
            .map_err(CheckError::Start)?;
        Ok(diagnostics::read(&output.stderr, source).in_cells)
    }

    fn command(&self) -> Command {
        let mut command = self.toolchain.rustc_command();
        command
            .args(self.further.arguments())
            .args(["--crate-name", "notebook", "--crate-type", "bin"])
            .args(["--emit", "metadata", "-o", "check.rmeta"])
            .args([
                "-Ztrim-diagnostic-paths=no",
                "-Zwrite-long-types-to-disk=no",
            ])
            .args(["--error-format", "json"])
            .arg("--json=diagnostic-rendered-ansi")
            .arg(FILE)
            // Both flags with `-Z` are unstable.
            .env("RUSTC_BOOTSTRAP", "1");
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_cells_have_no_paths() {
        let told = "no method for `__offmodel_cells::{closure#12}::Later` or `Vec<__offmodel_cells::Pair>`, {closure#a}::x";
        assert_eq!(
            as_named(told),
            "no method for `Later` or `Vec<Pair>`, {closure#a}::x"
        );
    }

    #[test]
    fn a_refusal_is_a_statement_whatever_the_compiler_said() {
        let refusal = Refusal {
            value: "a \"word\" {and} \\ more (line 1, column 2)".to_owned(),
            traceback: vec!["\u{1b}[1merror\u{1b}[0m\n'é'\t\u{202e}".to_owned()],
            line: Some(1),
        };
        let call: syn::ExprCall =
            syn::parse_str(refusal.statement().trim_end_matches(';')).unwrap();
        let text = |expression: &syn::Expr| match expression {
            syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(text),
                ..
            }) => text.value(),
            other => panic!("no text: {other:?}"),
        };
        assert_eq!(text(&call.args[0]), refusal.value);
        let syn::Expr::Reference(traceback) = &call.args[1] else {
            panic!("no reference");
        };
        let syn::Expr::Array(traceback) = &*traceback.expr else {
            panic!("no array");
        };
        assert_eq!(text(&traceback.elems[0]), refusal.traceback[0]);
    }
}
