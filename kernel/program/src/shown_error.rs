//! The compile error of a cell that may fail, shown in place of the cell.

use std::collections::BTreeMap;

use offmodel_cells::ParseError;
use offmodel_cells::rendering::headline;

use crate::diagnostics::CellDiagnostic;

/// The path that rustc puts before the name of an item of a cell.
const CELLS_PATH: &str = "__offmodel_cells::";

/// Excluded cells by number, with the error to show.
pub(crate) type ExcludedCells = BTreeMap<usize, ShownError>;

/// The compile error of a cell as the live kernel would show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ShownError {
    value: String,
    traceback: Vec<String>,
    line: Option<usize>,
}

impl ShownError {
    /// The error of a cell that is not Rust.
    pub(crate) fn from_syntax(source: &str, error: &ParseError) -> Self {
        Self {
            value: headline(&error.message, error.line, error.column),
            traceback: vec![error.rendered(source)],
            line: Some(error.line),
        }
    }

    /// The error of a cell with these diagnostics; none if there are none.
    pub(crate) fn from_diagnostics(diagnostics: &[&CellDiagnostic]) -> Option<Self> {
        let first = diagnostics.first()?;
        let rendered = diagnostics
            .iter()
            .map(|error| without_cells_path(&error.rendered));
        Some(Self {
            value: headline(
                &without_cells_path(&first.message),
                first.line,
                first.column,
            ),
            traceback: rendered.collect(),
            line: Some(first.line),
        })
    }

    /// The statement that shows the error in place of the cell.
    pub(crate) fn statement(&self) -> String {
        // `Debug` of a string is a valid Rust literal.
        format!(
            "::offmodel::batch::refuse({:?}, &{:?}, ::std::option::Option::{:?});",
            self.value, self.traceback, self.line
        )
    }
}

/// Removes the paths of items within the program: in a cell they are known by their names alone.
fn without_cells_path(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, path)) = rest.split_once(CELLS_PATH) {
        result.push_str(before);
        rest = path;
        // `{closure#2}::`, the closure of a cell that may fail.
        while let Some((_, inner)) = rest
            .strip_prefix("{closure#")
            .and_then(|closure| closure.split_once("}::"))
            .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
        {
            rest = inner;
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_cells_have_no_paths() {
        let message = "no method for `__offmodel_cells::{closure#12}::Later` or `Vec<__offmodel_cells::Pair>`, {closure#a}::x";
        assert_eq!(
            without_cells_path(message),
            "no method for `Later` or `Vec<Pair>`, {closure#a}::x"
        );
    }

    #[test]
    fn any_error_becomes_a_valid_statement() {
        let error = ShownError {
            value: "a \"word\" {and} \\ more (line 1, column 2)".to_owned(),
            traceback: vec!["\u{1b}[1merror\u{1b}[0m\n'é'\t\u{202e}".to_owned()],
            line: Some(1),
        };
        let call: syn::ExprCall = syn::parse_str(error.statement().trim_end_matches(';')).unwrap();
        let text = |expression: &syn::Expr| match expression {
            syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(text),
                ..
            }) => text.value(),
            other => panic!("not a string literal: {other:?}"),
        };
        assert_eq!(text(&call.args[0]), error.value);
        let syn::Expr::Reference(traceback) = &call.args[1] else {
            panic!("not a reference");
        };
        let syn::Expr::Array(traceback) = &*traceback.expr else {
            panic!("not an array");
        };
        assert_eq!(text(&traceback.elems[0]), error.traceback[0]);
    }
}
