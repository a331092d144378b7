//! What `transformers` adds to Jinja for chat templates.

use std::fmt::{Display, Write};

use chrono::{DateTime, Local, TimeZone};
use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, Value};
use regex::Regex;
use serde_json::Value as Json;

use super::python;

/// Replaces the block `generation` by a condition that always holds.
///
/// The block marks the assistant's tokens for training masks and does not change the text, and
/// `minijinja` cannot be given new blocks.
pub(super) fn without_generation_blocks(source: &str) -> String {
    const BEGIN: &str = r"\{%([-+]?)\s*generation\s*([-+]?)%\}";
    const END: &str = r"\{%([-+]?)\s*endgeneration\s*([-+]?)%\}";
    let replace = |source: &str, tag: &str, replacement: &str| match Regex::new(tag) {
        Ok(tag) => tag.replace_all(source, replacement).into_owned(),
        Err(_) => source.to_owned(),
    };
    let source = replace(source, BEGIN, "{%$1 if true $2%}");
    replace(&source, END, "{%$1 endif $2%}")
}

/// The function `raise_exception`, by which a template rejects a chat, for example because its roles
/// do not alternate.
pub(super) fn raise_exception(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The function `strftime_now`: the local time.
pub(super) fn strftime_now(format: String) -> Result<String, Error> {
    strftime(&Local::now(), &format)
}

/// Formats a time as Python's `strftime` does.
pub(super) fn strftime<Z: TimeZone<Offset: Display>>(
    time: &DateTime<Z>,
    format: &str,
) -> Result<String, Error> {
    let mut text = String::new();
    // `chrono` reports an unknown specifier only when it formats.
    match write!(text, "{}", time.format(format)) {
        Ok(()) => Ok(text),
        Err(_) => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now does not support the format {format:?}"),
        )),
    }
}

/// The filter `tojson`, which is `json.dumps` without escapes for HTML or Unicode.
pub(super) fn tojson(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let invalid = |detail: String| Error::new(ErrorKind::InvalidOperation, detail);
    if value.is_undefined() {
        return Err(invalid(
            "an undefined value cannot be written as JSON".to_owned(),
        ));
    }
    let json = serde_json::to_value(value).map_err(|error| invalid(error.to_string()))?;
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let separators = match (separators.as_deref(), indent) {
        (Some([item, key]), _) => (item.clone(), key.clone()),
        (Some(_), _) => return Err(invalid("separators must be two strings".to_owned())),
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

/// Writes JSON as `json.dumps` with these options.
struct JsonWriter {
    indent: Option<usize>,
    /// The separator between elements, and the one between a key and its value.
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
                Some(number) => text.push_str(&python::float(number)),
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

    /// Writes elements between brackets, on lines of their own if there is an indent.
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
        // `serde_json` escapes the same characters as Python, in the same way.
        let quoted = Json::from(string).to_string();
        if !self.ensure_ascii {
            text.push_str(&quoted);
            return;
        }
        let mut units = [0; 2];
        for character in quoted.chars() {
            if character.is_ascii() && character != '\u{7f}' {
                text.push(character);
                continue;
            }
            for unit in character.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}
