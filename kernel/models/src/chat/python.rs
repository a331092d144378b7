//! Behaviour of Python and `jinja2` that chat templates rely on, where `minijinja` differs.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, Output, State, Value, escape_formatter};
use minijinja_contrib::pycompat;

/// Prints a value as Python's `str` does.
pub(super) fn format(output: &mut Output, state: &State, value: &Value) -> Result<(), Error> {
    let text = match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool if value.is_true() => "True".to_owned(),
        ValueKind::Bool => "False".to_owned(),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(number) => float(number),
            Err(_) => return escape_formatter(output, state, value),
        },
        _ => return escape_formatter(output, state, value),
    };
    output.write_str(&text).map_err(Error::from)
}

/// Calls a method of a Python type; those of strings are Unicode-aware as in Python.
pub(super) fn method(
    state: &State,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return pycompat::unknown_method_callback(state, value, method, arguments);
    };
    let index = |offset: Option<usize>| {
        // Python counts characters, Rust bytes.
        offset.map_or(-1, |offset| text[..offset].chars().count() as i64)
    };
    match (method, arguments) {
        ("strip", []) => Ok(Value::from(text.trim_matches(is_space))),
        ("lstrip", []) => Ok(Value::from(text.trim_start_matches(is_space))),
        ("rstrip", []) => Ok(Value::from(text.trim_end_matches(is_space))),
        ("split", []) => {
            let words = text.split(is_space).filter(|word| !word.is_empty());
            Ok(words.map(Value::from).collect())
        }
        ("find", [_]) => {
            let (needle,): (&str,) = from_args(arguments)?;
            Ok(Value::from(index(text.find(needle))))
        }
        ("rfind", [_]) => {
            let (needle,): (&str,) = from_args(arguments)?;
            Ok(Value::from(index(text.rfind(needle))))
        }
        _ => pycompat::unknown_method_callback(state, value, method, arguments),
    }
}

/// The filter `trim`, which is `str.strip`.
pub(super) fn trim(value: &Value, characters: Option<String>) -> String {
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_undefined() => String::new(),
        None => value.to_string(),
    };
    match characters {
        None => text.trim_matches(is_space).to_owned(),
        Some(characters) => text
            .trim_matches(|character| characters.contains(character))
            .to_owned(),
    }
}

/// The test `sequence`. In `jinja2`, strings and mappings pass it.
pub(super) fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::String | ValueKind::Map
    )
}

/// The test `iterable`. In `jinja2`, a string passes it and `None` does not.
pub(super) fn is_iterable(value: &Value) -> bool {
    match value.kind() {
        ValueKind::None => false,
        ValueKind::String => true,
        _ => value.try_iter().is_ok(),
    }
}

/// Whether Python's `str.isspace` accepts the character. It accepts the four separators U+001C to
/// U+001F, which are not white space in Unicode.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// Formats a number as Python's `repr` does.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        let text = if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        return text.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) && number != 0.0 => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{number:?}"),
    }
}
