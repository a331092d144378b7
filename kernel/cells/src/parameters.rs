//! The cell tagged `parameters`.
//!
//! Each `let NAME: TYPE = DEFAULT;` in it is a parameter: a program reads its value at run time
//! and falls back to the default. Imports, items and other statements may stand beside them.
//!
//! Values travel as JSON. [`ParameterType::check`] and [`ParameterType::parse`] tell before
//! anything runs whether a value fits, so that a typing error costs no trial.

use std::fmt;

use serde_json::Value;
use syn::parse::Parser;

use crate::Cell;
use crate::position::offset_of;

/// One parameter of a notebook.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// The variable's name.
    pub name: String,
    /// Whether it was declared `mut`.
    pub mutable: bool,
    /// Its type.
    pub kind: ParameterType,
    /// Its type as the cell writes it.
    pub type_text: String,
    /// The default's value, where it is a literal; other expressions are evaluated by the
    /// program only.
    pub default: Option<Value>,
    /// The default as the cell writes it.
    pub default_text: String,
    /// The end of the `let` statement, semicolon included: a byte offset of the cell's code.
    pub end: usize,
}

/// The types that a parameter can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterType {
    /// `bool`.
    Bool,
    /// `i32`.
    I32,
    /// `i64`.
    I64,
    /// `u32`.
    U32,
    /// `u64`.
    U64,
    /// `usize`.
    Usize,
    /// `f64`.
    F64,
    /// `String`.
    String,
    /// `Vec<T>`.
    List(Box<ParameterType>),
    /// `Option<T>`.
    Option(Box<ParameterType>),
}

/// A declaration in the `parameters` cell that cannot be a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// `let x = 1;`.
    #[error(
        "line {line}: parameter `{name}` needs a type, as in `let {name}: i64 = ...;` (known: {SUPPORTED})"
    )]
    Untyped {
        /// Line in the cell, from 1.
        line: usize,
        /// The variable.
        name: String,
    },
    /// A type that no value can be given for from outside.
    #[error("line {line}: parameter `{name}` has the type `{found}`, expected one of {SUPPORTED}")]
    UnsupportedType {
        /// Line in the cell, from 1.
        line: usize,
        /// The variable.
        name: String,
        /// The type as written.
        found: String,
    },
    /// `let x: i64;`.
    #[error("line {line}: parameter `{name}` needs a default value")]
    WithoutDefault {
        /// Line in the cell, from 1.
        line: usize,
        /// The variable.
        name: String,
    },
    /// The same name twice.
    #[error("line {line}: parameter `{name}` is declared twice")]
    Duplicate {
        /// Line in the cell, from 1.
        line: usize,
        /// The variable.
        name: String,
    },
}

/// A value that does not fit its parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct TypeMismatch {
    /// The parameter's type, in words.
    pub expected: String,
    /// The value given, shortened.
    pub found: String,
}

const SUPPORTED: &str =
    "i32, i64, u32, u64, usize, f64, bool, String, and Vec<..> and Option<..> of these";

/// The parameters that a cell declares, in order.
///
/// # Errors
/// When a `let` of the cell has no type, no default, or a type that values cannot be given for.
pub fn parameters(cell: &Cell) -> Result<Vec<Parameter>, ParameterError> {
    // The cell was parsed from this very text.
    let statements = syn::Block::parse_within
        .parse_str(&cell.code)
        .unwrap_or_default();
    let mut parameters: Vec<Parameter> = Vec::new();
    for statement in &statements {
        let syn::Stmt::Local(local) = statement else {
            continue;
        };
        if let Some(parameter) = declared(&cell.code, local)? {
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

/// The parameter that a `let` declares; `None` for patterns such as `let (a, b) = ...`.
fn declared(code: &str, local: &syn::Local) -> Result<Option<Parameter>, ParameterError> {
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
        return Err(ParameterError::Untyped { line, name });
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
        default: literal(&default.expr).and_then(|value| kind.check(&value).ok()),
        kind,
        type_text,
        default_text: text(default.expr.span()),
        end: offset_of(code, local.semi_token.span.end()),
    }))
}

impl ParameterType {
    fn from_syntax(written: &syn::Type) -> Option<Self> {
        let syn::Type::Path(path) = written else {
            return None;
        };
        let last = path.path.segments.last()?;
        match &last.arguments {
            syn::PathArguments::None => match last.ident.to_string().as_str() {
                "bool" => Some(Self::Bool),
                "i32" => Some(Self::I32),
                "i64" => Some(Self::I64),
                "u32" => Some(Self::U32),
                "u64" => Some(Self::U64),
                "usize" => Some(Self::Usize),
                "f64" => Some(Self::F64),
                "String" => Some(Self::String),
                _ => None,
            },
            syn::PathArguments::AngleBracketed(arguments) => {
                let [syn::GenericArgument::Type(element)] =
                    arguments.args.iter().collect::<Vec<_>>()[..]
                else {
                    return None;
                };
                let element = Box::new(Self::from_syntax(element)?);
                match last.ident.to_string().as_str() {
                    "Vec" => Some(Self::List(element)),
                    "Option" => Some(Self::Option(element)),
                    _ => None,
                }
            }
            syn::PathArguments::Parenthesized(_) => None,
        }
    }

    /// Checks a JSON value and gives it in the one form that a program reads: whole numbers
    /// given for an `f64` become floats, so that equal trials are recognised as equal.
    ///
    /// # Errors
    /// When the value has another type or lies outside the type's range.
    pub fn check(&self, value: &Value) -> Result<Value, TypeMismatch> {
        let checked = match (self, value) {
            (Self::Bool, Value::Bool(_)) | (Self::String, Value::String(_)) => Some(value.clone()),
            (Self::I32, _) => value
                .as_i64()
                .and_then(|n| i32::try_from(n).ok())
                .map(Value::from),
            (Self::I64, _) => value.as_i64().map(Value::from),
            (Self::U32, _) => value
                .as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .map(Value::from),
            (Self::U64, _) => value.as_u64().map(Value::from),
            (Self::Usize, _) => value
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .map(Value::from),
            (Self::F64, _) => value
                .as_f64()
                .filter(|number| number.is_finite())
                .map(Value::from),
            (Self::List(element), Value::Array(values)) => {
                let checked: Result<Vec<_>, _> =
                    values.iter().map(|value| element.check(value)).collect();
                checked.ok().map(Value::Array)
            }
            (Self::Option(_), Value::Null) => Some(Value::Null),
            (Self::Option(inner), _) => inner.check(value).ok(),
            _ => None,
        };
        checked.ok_or_else(|| self.mismatch(&describe(value)))
    }

    /// Reads a value from a command line: strings as they are, lists as JSON or separated by
    /// commas, `none` for an empty option.
    ///
    /// # Errors
    /// When the text is not a value of this type.
    pub fn parse(&self, text: &str) -> Result<Value, TypeMismatch> {
        let trimmed = text.trim();
        let wrong = || self.mismatch(&format!("`{}`", shortened(text)));
        match self {
            Self::String => Ok(Value::String(text.to_owned())),
            Self::Option(_) if trimmed == "none" => Ok(Value::Null),
            Self::Option(inner) => inner.parse(text).map_err(|_| wrong()),
            Self::List(_) if trimmed.starts_with('[') => serde_json::from_str(trimmed)
                .map_err(|_| wrong())
                .and_then(|value| self.check(&value)),
            Self::List(_) if trimmed.is_empty() => Ok(Value::Array(Vec::new())),
            Self::List(element) => trimmed
                .split(',')
                .map(|part| element.parse(part.trim()).map_err(|_| wrong()))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            _ => {
                let value = serde_json::from_str(&trimmed.replace('_', "")).map_err(|_| wrong())?;
                self.check(&value).map_err(|_| wrong())
            }
        }
    }

    fn mismatch(&self, found: &str) -> TypeMismatch {
        TypeMismatch {
            expected: self.to_string(),
            found: found.to_owned(),
        }
    }

    fn plural(&self) -> String {
        match self {
            Self::Bool => "booleans".to_owned(),
            Self::I32 | Self::I64 => "integers".to_owned(),
            Self::U32 | Self::U64 | Self::Usize => "non-negative integers".to_owned(),
            Self::F64 => "numbers".to_owned(),
            Self::String => "strings".to_owned(),
            Self::List(element) => format!("lists of {}", element.plural()),
            Self::Option(inner) => format!("optional {}", inner.plural()),
        }
    }
}

impl fmt::Display for ParameterType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => formatter.write_str("a boolean (true or false)"),
            Self::I32 => formatter.write_str("an integer (i32)"),
            Self::I64 => formatter.write_str("an integer (i64)"),
            Self::U32 => formatter.write_str("a non-negative integer (u32)"),
            Self::U64 => formatter.write_str("a non-negative integer (u64)"),
            Self::Usize => formatter.write_str("a non-negative integer (usize)"),
            Self::F64 => formatter.write_str("a number (f64)"),
            Self::String => formatter.write_str("a string"),
            Self::List(element) => write!(formatter, "a list of {}", element.plural()),
            Self::Option(inner) => write!(formatter, "{inner} or none"),
        }
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) if number.is_f64() => format!("the number {number}"),
        Value::Number(number) => format!("the integer {number}"),
        Value::String(text) => format!("the string \"{}\"", shortened(text)),
        Value::Array(_) => format!("the list {}", shortened(&value.to_string())),
        Value::Object(_) => "a table".to_owned(),
    }
}

fn shortened(text: &str) -> String {
    const LENGTH: usize = 60;
    if text.chars().count() <= LENGTH {
        text.to_owned()
    } else {
        text.chars().take(LENGTH).chain(['…']).collect()
    }
}

/// The value of an expression that needs no compiler: literals, `vec![..]`, `None`, `Some(..)`,
/// `Vec::new()`, and strings made from literals.
fn literal(expression: &syn::Expr) -> Option<Value> {
    match expression {
        syn::Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Bool(value) => Some(Value::from(value.value)),
            syn::Lit::Str(value) => Some(Value::from(value.value())),
            syn::Lit::Int(value) => {
                value
                    .base10_parse::<u64>()
                    .ok()
                    .map(Value::from)
                    .or_else(|| {
                        (value.suffix() == "f64")
                            .then(|| value.base10_parse::<f64>().ok().map(Value::from))?
                    })
            }
            syn::Lit::Float(value) => value.base10_parse::<f64>().ok().map(Value::from),
            _ => None,
        },
        syn::Expr::Unary(syn::ExprUnary {
            op: syn::UnOp::Neg(_),
            expr,
            ..
        }) => {
            let value = literal(expr)?;
            match value.as_i64() {
                Some(number) => Some(Value::from(-number)),
                None => value.as_f64().map(|number| Value::from(-number)),
            }
        }
        syn::Expr::Paren(inner) => literal(&inner.expr),
        syn::Expr::Macro(call) if call.mac.path.is_ident("vec") => {
            type Elements = syn::punctuated::Punctuated<syn::Expr, syn::Token![,]>;
            let elements = Elements::parse_terminated
                .parse2(call.mac.tokens.clone())
                .ok()?;
            elements
                .iter()
                .map(literal)
                .collect::<Option<Vec<_>>>()
                .map(Value::Array)
        }
        syn::Expr::Path(path) if path.path.is_ident("None") => Some(Value::Null),
        syn::Expr::MethodCall(call) if call.args.is_empty() => {
            let is_conversion = ["to_owned", "to_string", "into"]
                .iter()
                .any(|name| call.method == name);
            literal(&call.receiver).filter(|value| is_conversion && value.is_string())
        }
        syn::Expr::Call(call) => {
            let syn::Expr::Path(function) = &*call.func else {
                return None;
            };
            let names: Vec<_> = function
                .path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string())
                .collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            match (&names[..], call.args.len()) {
                (["Vec", "new"], 0) => Some(Value::Array(Vec::new())),
                (["String", "new"], 0) => Some(Value::from("")),
                (["Some"], 1) => literal(&call.args[0]),
                (["String", "from"], 1) => literal(&call.args[0]).filter(Value::is_string),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(source: &str) -> Result<Vec<Parameter>, ParameterError> {
        parameters(&crate::parse(source).unwrap())
    }

    fn kind(type_text: &str) -> ParameterType {
        ParameterType::from_syntax(&syn::parse_str(type_text).unwrap()).unwrap()
    }

    #[test]
    fn every_typed_let_is_a_parameter_with_its_default() {
        let found = of(
            "use std::fmt;\nlet seed: u64 = 1;\nlet mut rate: f64 = -5e-5; // per step\nlet data: String = \"on\".to_owned();\nlet levels: Vec<i64> = vec![1, -2];\nlet cap: Option<usize> = None;\nlet computed: usize = 2 + 2;",
        )
        .unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|p| (p.name.as_str(), p.mutable, p.default.clone()))
            .collect();
        assert_eq!(
            told,
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
    fn a_declaration_that_cannot_be_a_parameter_is_named_with_its_line() {
        let message = |source| of(source).unwrap_err().to_string();
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

    #[test]
    fn values_are_checked_against_type_and_range() {
        assert_eq!(kind("f64").check(&json!(1)).unwrap(), json!(1.0));
        assert_eq!(
            kind("Option<String>").check(&Value::Null).unwrap(),
            Value::Null
        );
        let error = kind("u64").check(&json!(-1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected a non-negative integer (u64), found the integer -1"
        );
        let error = kind("Vec<i64>").check(&json!([1, "two"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected a list of integers, found the list [1,\"two\"]"
        );
        assert!(kind("i32").check(&json!(3_000_000_000_i64)).is_err());
        assert!(kind("i64").check(&json!(1.5)).is_err());
        assert!(kind("bool").check(&json!("true")).is_err());
    }

    #[test]
    fn command_line_text_is_read_by_the_type() {
        assert_eq!(kind("String").parse("12").unwrap(), json!("12"));
        assert_eq!(kind("u64").parse("1_000").unwrap(), json!(1000));
        assert_eq!(kind("f64").parse("5e-5").unwrap(), json!(5e-5));
        assert_eq!(
            kind("Vec<String>").parse("a, b").unwrap(),
            json!(["a", "b"])
        );
        assert_eq!(
            kind("Vec<f64>").parse("[1, 2.5]").unwrap(),
            json!([1.0, 2.5])
        );
        assert_eq!(kind("Option<i64>").parse("none").unwrap(), Value::Null);
        assert_eq!(
            kind("u64").parse("many").unwrap_err().to_string(),
            "expected a non-negative integer (u64), found `many`"
        );
    }
}
