use std::ops::Range;
use std::path::Path;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Given, Place, SpecError};

pub(super) type Table<'a> = DeTable<'a>;
pub(super) type Entry<'a> = Spanned<DeValue<'a>>;

/// Values of a sweep file by their types; every error tells its place.
pub(super) struct Reader<'a> {
    pub file: &'a Path,
    pub text: &'a str,
}

impl Reader<'_> {
    pub fn place(&self, span: &Range<usize>) -> Place {
        Place::at(self.file, self.text, span.start)
    }

    pub fn missing(&self, key: &'static str) -> SpecError {
        SpecError::Missing {
            path: self.file.to_owned(),
            key,
        }
    }

    pub fn empty(&self, key: &str, span: &Range<usize>) -> SpecError {
        SpecError::Empty {
            place: self.place(span),
            key: key.to_owned(),
        }
    }

    /// Refuses keys that mean nothing.
    pub fn check_keys(&self, table: &Table<'_>, known: &[&'static str]) -> Result<(), SpecError> {
        let unknown = table
            .keys()
            .find(|key| !known.contains(&key.get_ref().as_ref()));
        match unknown {
            None => Ok(()),
            Some(key) => Err(SpecError::UnknownKey {
                place: self.place(&key.span()),
                key: key.get_ref().to_string(),
                known: known.to_vec(),
            }),
        }
    }

    pub fn string(
        &self,
        table: &Table<'_>,
        key: &str,
    ) -> Result<Option<(String, Range<usize>)>, SpecError> {
        let Some(value) = table.get(key) else {
            return Ok(None);
        };
        match value.get_ref() {
            DeValue::String(text) => Ok(Some((text.to_string(), value.span()))),
            _ => Err(self.wrong_type(key, value, "a string")),
        }
    }

    pub fn boolean(&self, table: &Table<'_>, key: &str) -> Result<Option<bool>, SpecError> {
        let Some(value) = table.get(key) else {
            return Ok(None);
        };
        match value.get_ref() {
            DeValue::Boolean(value) => Ok(Some(*value)),
            _ => Err(self.wrong_type(key, value, "true or false")),
        }
    }

    /// A non-negative integer.
    pub fn count(&self, table: &Table<'_>, key: &str) -> Result<Option<usize>, SpecError> {
        let Some(value) = table.get(key) else {
            return Ok(None);
        };
        self.json(key, value)?
            .as_u64()
            .and_then(|count| usize::try_from(count).ok())
            .map(Some)
            .ok_or_else(|| self.wrong_type(key, value, "a non-negative integer"))
    }

    pub fn table<'a>(
        &self,
        table: &'a Table<'a>,
        key: &str,
    ) -> Result<Option<&'a Table<'a>>, SpecError> {
        table
            .get(key)
            .map(|value| self.as_table(key, value))
            .transpose()
    }

    pub fn as_table<'a>(
        &self,
        key: &str,
        value: &'a Entry<'a>,
    ) -> Result<&'a Table<'a>, SpecError> {
        match value.get_ref() {
            DeValue::Table(inner) => Ok(inner),
            _ => Err(self.wrong_type(key, value, "a table")),
        }
    }

    /// A list that is not empty.
    pub fn list<'a>(&self, key: &str, value: &'a Entry<'a>) -> Result<&'a [Entry<'a>], SpecError> {
        let DeValue::Array(values) = value.get_ref() else {
            return Err(self.wrong_type(key, value, "a list of values"));
        };
        if values.is_empty() {
            return Err(self.empty(key, &value.span()));
        }
        Ok(values)
    }

    /// `name = value` pairs.
    pub fn assignments(&self, table: &Table<'_>) -> Result<Vec<Given>, SpecError> {
        in_file_order(table)
            .into_iter()
            .map(|(name, value)| self.given(&name, value))
            .collect()
    }

    pub fn given(&self, name: &str, value: &Entry<'_>) -> Result<Given, SpecError> {
        Ok(Given {
            name: name.to_owned(),
            value: self.json(name, value)?,
            place: self.place(&value.span()),
        })
    }

    pub fn json(&self, key: &str, value: &Entry<'_>) -> Result<Value, SpecError> {
        let expected = "a string, integer, number, boolean or list";
        let converted = match value.get_ref() {
            DeValue::String(text) => Some(Value::from(text.as_ref())),
            DeValue::Boolean(value) => Some(Value::from(*value)),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Value::from)
                .or_else(|_| u64::from_str_radix(number.as_str(), number.radix()).map(Value::from))
                .ok(),
            // Infinity and not-a-number are no JSON.
            DeValue::Float(number) => number
                .as_str()
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
                .map(Value::from),
            DeValue::Array(values) => {
                let values = values.iter().map(|value| self.json(key, value));
                Some(Value::Array(values.collect::<Result<_, _>>()?))
            }
            DeValue::Datetime(_) | DeValue::Table(_) => None,
        };
        converted.ok_or_else(|| self.wrong_type(key, value, expected))
    }

    pub fn wrong_type(&self, key: &str, value: &Entry<'_>, expected: &'static str) -> SpecError {
        let found = match value.get_ref() {
            DeValue::Integer(number) => format!("the integer {}", number.as_str()),
            DeValue::Float(number) => format!("the number {}", number.as_str()),
            DeValue::String(text) => format!("the string \"{text}\""),
            other => format!("a value of type {}", other.type_str()),
        };
        SpecError::WrongType {
            place: self.place(&value.span()),
            key: key.to_owned(),
            expected,
            found,
        }
    }
}

/// A table sorts its keys; trials run in the order that the user wrote.
pub(super) fn in_file_order<'a>(table: &'a Table<'a>) -> Vec<(String, &'a Entry<'a>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
        .into_iter()
        .map(|(key, value)| (key.get_ref().to_string(), value))
        .collect()
}
