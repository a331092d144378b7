//! The types of parameters, and the values that fit them.

use std::fmt;

use serde_json::Value;

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

/// Why a value does not fit its parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct TypeMismatch {
    /// The parameter's type in words: "a list of integers".
    pub expected: String,
    /// The value in words, shortened: "the integer -1".
    pub found: String,
}

/// All types of parameters, for messages.
pub(super) const SUPPORTED_TYPES: &str =
    "i32, i64, u32, u64, usize, f64, bool, String, and Vec<..> and Option<..> of these";

impl ParameterType {
    /// The type that is written as `written`; none if it is not supported.
    pub(super) fn from_syntax(written: &syn::Type) -> Option<Self> {
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

    /// Checks a JSON value and returns it in its canonical form: an integer for an `f64` becomes a
    /// float, so that equal trials have equal parameters.
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

    /// Parses a value from a command line: a string as it is, a list as JSON or separated by
    /// commas, `none` for an absent option.
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
    const MAX_CHARACTERS: usize = 60;
    if text.chars().count() <= MAX_CHARACTERS {
        text.to_owned()
    } else {
        text.chars().take(MAX_CHARACTERS).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(type_text: &str) -> ParameterType {
        ParameterType::from_syntax(&syn::parse_str(type_text).unwrap()).unwrap()
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
    fn text_from_a_command_line_is_parsed_by_type() {
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
