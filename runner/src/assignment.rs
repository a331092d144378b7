//! Values given for a notebook's parameters, checked before anything runs.

use std::collections::BTreeMap;

use offmodel_cells::parameters::{Parameter, TypeMismatch};
use serde_json::Value;

use crate::suggestion::hint;

/// Values by parameter name, each in the form that its type reads.
pub type Assignment = BTreeMap<String, Value>;

/// A value that was given for no parameter, or does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssignmentError {
    /// Not `name=value`.
    #[error("`-p {text}` is not of the form `-p name=value`")]
    Form {
        /// What was given.
        text: String,
    },
    /// The notebook has no such parameter.
    #[error("the notebook has no parameter `{name}`{}; {}", hint(name, &borrowed(known)), listed(known))]
    Unknown {
        /// The name given.
        name: String,
        /// The notebook's parameters.
        known: Vec<String>,
    },
    /// A name given twice.
    #[error("parameter `{name}` is given twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// A value of another type.
    #[error("parameter `{name}`: {mismatch}")]
    Mismatch {
        /// The parameter.
        name: String,
        /// Expected and found.
        mismatch: TypeMismatch,
    },
}

/// Reads `name=value` texts of a command line.
///
/// # Errors
/// When a name is unknown or given twice, or a value does not have its parameter's type.
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

/// Checks one value.
///
/// # Errors
/// When the name is unknown or the value has another type.
pub fn checked(
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

/// The values that a program will have: those given, and the defaults that are literals.
pub fn with_defaults(parameters: &[Parameter], given: &Assignment) -> Assignment {
    let mut all: Assignment = parameters
        .iter()
        .filter_map(|parameter| Some((parameter.name.clone(), parameter.default.clone()?)))
        .collect();
    all.extend(given.clone());
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

fn listed(known: &[String]) -> String {
    if known.is_empty() {
        "it has none (tag a cell `parameters` and declare them as `let name: type = default;`)"
            .to_owned()
    } else {
        format!("it has: {}", known.join(", "))
    }
}

/// `data=on_model seed=1`.
pub fn described(assignment: &Assignment) -> String {
    let values: Vec<String> = assignment
        .iter()
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        })
        .collect();
    values.join(" ")
}
