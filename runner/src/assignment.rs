//! Values for a notebook's parameters, checked before anything is compiled.

use std::collections::BTreeMap;

use offmodel_cells::parameters::{Parameter, TypeMismatch};
use serde_json::Value;

use offmodel_support::suggestion::hint;

/// Values by parameter name, each converted to the parameter's type.
pub type Assignment = BTreeMap<String, Value>;

/// Why a value cannot be assigned to a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssignmentError {
    /// The text is not of the form `name=value`.
    #[error("`-p {text}` is not of the form `-p name=value`")]
    Form {
        /// The text.
        text: String,
    },
    /// The notebook has no such parameter.
    #[error("the notebook has no parameter `{name}`{}; {}", hint(name, &borrowed(known)), list_known(known))]
    Unknown {
        /// The name.
        name: String,
        /// The names of the notebook's parameters.
        known: Vec<String>,
    },
    /// A parameter is set twice.
    #[error("parameter `{name}` is set twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// The value has the wrong type.
    #[error("parameter `{name}`: {mismatch}")]
    Mismatch {
        /// The parameter.
        name: String,
        /// The expected type and the value that was found.
        mismatch: TypeMismatch,
    },
}

/// Parses texts `name=value` from the command line.
///
/// # Errors
/// [`AssignmentError`].
pub fn from_command_line(
    parameters: &[Parameter],
    texts: &[String],
) -> Result<Assignment, AssignmentError> {
    let mut assignment = Assignment::new();
    for text in texts {
        let Some((name, value)) = text.split_once('=') else {
            return Err(AssignmentError::Form { text: text.clone() });
        };
        let name = name.trim();
        let value = find(parameters, name)?
            .kind
            .parse(value)
            .map_err(|mismatch| AssignmentError::Mismatch {
                name: name.to_owned(),
                mismatch,
            })?;
        if assignment.insert(name.to_owned(), value).is_some() {
            return Err(AssignmentError::Twice {
                name: name.to_owned(),
            });
        }
    }
    Ok(assignment)
}

/// Converts a value to the type of its parameter.
///
/// # Errors
/// [`AssignmentError::Unknown`] or [`AssignmentError::Mismatch`].
pub fn check_value(
    parameters: &[Parameter],
    name: &str,
    value: &Value,
) -> Result<Value, AssignmentError> {
    find(parameters, name)?
        .kind
        .check(value)
        .map_err(|mismatch| AssignmentError::Mismatch {
            name: name.to_owned(),
            mismatch,
        })
}

/// The values that a program will have: the overrides, and the defaults that are literals. Other
/// defaults are known only at run time.
pub fn with_defaults(parameters: &[Parameter], overrides: &Assignment) -> Assignment {
    let mut all: Assignment = parameters
        .iter()
        .filter_map(|parameter| Some((parameter.name.clone(), parameter.default.clone()?)))
        .collect();
    all.extend(overrides.clone());
    all
}

fn find<'a>(parameters: &'a [Parameter], name: &str) -> Result<&'a Parameter, AssignmentError> {
    parameters
        .iter()
        .find(|parameter| parameter.name == name)
        .ok_or_else(|| {
            let known = parameters
                .iter()
                .map(|parameter| parameter.name.clone())
                .collect();
            AssignmentError::Unknown {
                name: name.to_owned(),
                known,
            }
        })
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn list_known(known: &[String]) -> String {
    if known.is_empty() {
        "it has none (tag a cell `parameters` and declare them as `let name: type = default;`)"
            .to_owned()
    } else {
        format!("it has: {}", known.join(", "))
    }
}

/// An assignment as text, such as `data=on_model seed=1`.
pub fn describe(assignment: &Assignment) -> String {
    let values: Vec<String> = assignment
        .iter()
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        })
        .collect();
    values.join(" ")
}
