//! What templates expect of Python and `jinja2`, where `minijinja` differs.

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Error, ErrorKind, Output, State, Value, escape_formatter};
use minijinja_contrib::pycompat;
use serde_json::Value as Json;

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

/// Methods of Python's types.
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
        // In characters, not in bytes.
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
            let (wanted,): (&str,) = from_args(arguments)?;
            Ok(Value::from(index(text.find(wanted))))
        }
        ("rfind", [_]) => {
            let (wanted,): (&str,) = from_args(arguments)?;
            Ok(Value::from(index(text.rfind(wanted))))
        }
        _ => pycompat::unknown_method_callback(state, value, method, arguments),
    }
}

/// The filter `trim`: `str.strip`.
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

/// The tests `sequence` and `iterable`: a text is both, none is neither.
pub(super) fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::String | ValueKind::Map
    )
}

pub(super) fn is_iterable(value: &Value) -> bool {
    match value.kind() {
        ValueKind::None => false,
        ValueKind::String => true,
        _ => value.try_iter().is_ok(),
    }
}

/// What `str.isspace` takes for white space: four separators more than Unicode does.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// The filter `tojson` of `transformers`: `json.dumps` without escapes for HTML or Unicode.
pub(super) fn tojson(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let wrong = |detail: String| Error::new(ErrorKind::InvalidOperation, detail);
    if value.is_undefined() {
        return Err(wrong("an undefined value is not JSON".to_owned()));
    }
    let json = serde_json::to_value(value).map_err(|error| wrong(error.to_string()))?;
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let separators = match (separators.as_deref(), indent) {
        (Some([item, key]), _) => (item.clone(), key.clone()),
        (Some(_), _) => return Err(wrong("separators are two texts".to_owned())),
        (None, Some(_)) => (",".to_owned(), ": ".to_owned()),
        (None, None) => (", ".to_owned(), ": ".to_owned()),
    };
    let writer = JsonWriter {
        indent,
        separators,
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        ensure_ascii: options
            .get::<Option<bool>>("ensure_ascii")?
            .unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut text = String::new();
    writer.write(&json, 0, &mut text);
    Ok(Value::from_safe_string(text))
}

/// The options of `json.dumps`.
struct JsonWriter {
    indent: Option<usize>,
    /// Between elements, and between a key and its value.
    separators: (String, String),
    sort_keys: bool,
    ensure_ascii: bool,
}

impl JsonWriter {
    fn write(&self, json: &Json, depth: usize, text: &mut String) {
        match json {
            Json::Null => text.push_str("null"),
            Json::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
            Json::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
                Some(number) => text.push_str(&float(number)),
                None => text.push_str(&number.to_string()),
            },
            Json::String(string) => self.write_string(string, text),
            Json::Array(elements) => {
                self.write_all(['[', ']'], elements, depth, text, |element, text| {
                    self.write(element, depth + 1, text);
                });
            }
            Json::Object(fields) => {
                let mut fields: Vec<(&String, &Json)> = fields.iter().collect();
                if self.sort_keys {
                    fields.sort_unstable_by_key(|(key, _)| *key);
                }
                self.write_all(['{', '}'], &fields, depth, text, |(key, value), text| {
                    self.write_string(key, text);
                    text.push_str(&self.separators.1);
                    self.write(value, depth + 1, text);
                });
            }
        }
    }

    fn write_all<T>(
        &self,
        [open, close]: [char; 2],
        elements: &[T],
        depth: usize,
        text: &mut String,
        write: impl Fn(&T, &mut String),
    ) {
        let line = |depth: usize, text: &mut String| {
            if let Some(indent) = self.indent.filter(|_| !elements.is_empty()) {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent * depth));
            }
        };
        text.push(open);
        for (index, element) in elements.iter().enumerate() {
            if index > 0 {
                text.push_str(&self.separators.0);
            }
            line(depth + 1, text);
            write(element, text);
        }
        line(depth, text);
        text.push(close);
    }

    fn write_string(&self, string: &str, text: &mut String) {
        // `serde_json` escapes what Python escapes, in the same words.
        let quoted = Json::from(string).to_string();
        if !self.ensure_ascii {
            text.push_str(&quoted);
            return;
        }
        let mut units = [0; 2];
        for character in quoted.chars() {
            match character.is_ascii() && character != '\u{7f}' {
                true => text.push(character),
                false => {
                    for unit in character.encode_utf16(&mut units) {
                        text.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
        }
    }
}

/// A number as Python's `repr` writes it.
fn float(number: f64) -> String {
    if !number.is_finite() {
        return match number.is_nan() {
            true => "NaN".to_owned(),
            false if number > 0.0 => "Infinity".to_owned(),
            false => "-Infinity".to_owned(),
        };
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
