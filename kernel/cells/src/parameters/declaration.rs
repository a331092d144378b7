//! The declarations in a `parameters` cell.

use serde_json::Value;
use syn::parse::Parser;

use super::literal::value_of_literal;
use super::parameter_type::{ParameterType, SUPPORTED_TYPES};
use crate::cell::Cell;
use crate::position::offset_of;

/// One parameter of a notebook.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// The variable's name.
    pub name: String,
    /// Whether the variable is declared `mut`.
    pub mutable: bool,
    /// The type.
    pub kind: ParameterType,
    /// The type as it is written in the cell.
    pub type_text: String,
    /// The default value, if it is a literal. Only the program can evaluate other expressions.
    pub default: Option<Value>,
    /// The default as it is written in the cell.
    pub default_text: String,
    /// The byte offset of [`Cell::code`] after the semicolon of the `let` statement.
    pub end: usize,
}

/// Why a declaration in the `parameters` cell cannot be a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// The declaration has no type: `let x = 1;`.
    #[error(
        "line {line}: parameter `{name}` needs a type, as in `let {name}: i64 = ...;` (known: {SUPPORTED_TYPES})"
    )]
    Untyped {
        /// Line in the cell, from 1.
        line: usize,
        /// The variable's name.
        name: String,
    },
    /// The type is not one of those that a value can be passed for.
    #[error(
        "line {line}: parameter `{name}` has the type `{found}`, expected one of {SUPPORTED_TYPES}"
    )]
    UnsupportedType {
        /// Line in the cell, from 1.
        line: usize,
        /// The variable's name.
        name: String,
        /// The type as written.
        found: String,
    },
    /// The declaration has no default: `let x: i64;`.
    #[error("line {line}: parameter `{name}` needs a default value")]
    WithoutDefault {
        /// Line in the cell, from 1.
        line: usize,
        /// The variable's name.
        name: String,
    },
    /// Two declarations have the same name.
    #[error("line {line}: parameter `{name}` is declared twice")]
    Duplicate {
        /// Line in the cell, from 1.
        line: usize,
        /// The variable's name.
        name: String,
    },
}

/// The parameters that a cell declares, in order.
///
/// # Errors
/// When a `let` of the cell has no type, no default, or a type that values cannot be given for.
pub fn parameters(cell: &Cell) -> Result<Vec<Parameter>, ParameterError> {
    // Cannot fail: `cell` is the result of parsing this text.
    let statements = syn::Block::parse_within
        .parse_str(&cell.code)
        .unwrap_or_default();
    let mut parameters: Vec<Parameter> = Vec::new();
    for statement in &statements {
        let syn::Stmt::Local(local) = statement else {
            continue;
        };
        if let Some(parameter) = parse_declaration(&cell.code, local)? {
            if parameters.iter().any(|known| known.name == parameter.name) {
                let line = local.let_token.span.start().line;
                return Err(ParameterError::Duplicate {
                    line,
                    name: parameter.name,
                });
            }
            parameters.push(parameter);
        }
    }
    Ok(parameters)
}

/// The parameter that a `let` declares; none if it derives a value or has a pattern such as
/// `(a, b)`.
fn parse_declaration(code: &str, local: &syn::Local) -> Result<Option<Parameter>, ParameterError> {
    use syn::spanned::Spanned;
    let line = local.let_token.span.start().line;
    let (pattern, written) = match &local.pat {
        syn::Pat::Type(typed) => (&*typed.pat, Some(&*typed.ty)),
        pattern => (pattern, None),
    };
    let syn::Pat::Ident(variable) = pattern else {
        return Ok(None);
    };
    let name = variable.ident.to_string();
    let text = |span: proc_macro2::Span| {
        code[offset_of(code, span.start())..offset_of(code, span.end())].to_owned()
    };
    let Some(written) = written else {
        return match local
            .init
            .as_ref()
            .and_then(|init| value_of_literal(&init.expr))
        {
            Some(_) => Err(ParameterError::Untyped { line, name }),
            None => Ok(None),
        };
    };
    let type_text = text(written.span());
    let Some(kind) = ParameterType::from_syntax(written) else {
        return Err(ParameterError::UnsupportedType {
            line,
            name,
            found: type_text,
        });
    };
    let Some(default) = &local.init else {
        return Err(ParameterError::WithoutDefault { line, name });
    };
    Ok(Some(Parameter {
        name,
        mutable: variable.mutability.is_some(),
        default: value_of_literal(&default.expr).and_then(|value| kind.check(&value).ok()),
        kind,
        type_text,
        default_text: text(default.expr.span()),
        end: offset_of(code, local.semi_token.span.end()),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameters_of(source: &str) -> Result<Vec<Parameter>, ParameterError> {
        parameters(&crate::parse(source).unwrap())
    }

    #[test]
    fn every_typed_let_is_a_parameter_with_its_default() {
        let found = parameters_of(
            "use std::fmt;\nlet seed: u64 = 1;\nlet mut rate: f64 = -5e-5; // per step\nlet data: String = \"on\".to_owned();\nlet levels: Vec<i64> = vec![1, -2];\nlet cap: Option<usize> = None;\nlet computed: usize = 2 + 2;",
        )
        .unwrap();
        let summary: Vec<_> = found
            .iter()
            .map(|parameter| {
                (
                    parameter.name.as_str(),
                    parameter.mutable,
                    parameter.default.clone(),
                )
            })
            .collect();
        assert_eq!(
            summary,
            [
                ("seed", false, Some(json!(1))),
                ("rate", true, Some(json!(-5e-5))),
                ("data", false, Some(json!("on"))),
                ("levels", false, Some(json!([1, -2]))),
                ("cap", false, Some(Value::Null)),
                ("computed", false, None),
            ]
        );
        assert_eq!(found[1].default_text, "-5e-5");
        assert_eq!(found[3].type_text, "Vec<i64>");
    }

    #[test]
    fn an_invalid_declaration_is_reported_with_its_line() {
        let message = |source| parameters_of(source).unwrap_err().to_string();
        assert!(
            message("let a: i64 = 1;\nlet x = 1;")
                .starts_with("line 2: parameter `x` needs a type")
        );
        assert!(
            message("let x: &str = \"a\";").contains("has the type `&str`, expected one of i32")
        );
        assert!(message("let x: i64;").contains("needs a default"));
        assert!(
            message("let x: i64 = 1;\nlet x: i64 = 2;")
                .starts_with("line 2: parameter `x` is declared twice")
        );
    }
}
