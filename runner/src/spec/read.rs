use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Place, SpecError};

/// A sweep file as read: values are not yet checked against the notebook.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepSpec {
    /// The file.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    /// The name of the sweep's folder.
    pub name: String,
    /// The notebook, as a path from the current folder.
    pub notebook: PathBuf,
    /// Values that all trials share.
    pub parameters: Vec<Given>,
    /// What varies, in the order of the file.
    pub grid: Vec<Axis>,
    /// Where the grid begins.
    pub grid_place: Place,
}

/// A value for a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// The parameter's name.
    pub name: String,
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
}

/// One varying parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The parameter's name.
    pub name: String,
    /// Its values, at least one.
    pub values: Vec<Given>,
}

const KEYS: [&str; 5] = ["version", "notebook", "name", "parameters", "grid"];

impl SweepSpec {
    /// Reads a sweep file.
    ///
    /// # Errors
    /// When the file is not TOML, lacks a key, or has one that means nothing.
    pub fn read(file: &Path) -> Result<Self, SpecError> {
        let text = std::fs::read_to_string(file).map_err(|source| SpecError::Read {
            path: file.to_owned(),
            source,
        })?;
        Self::parse(file, &text)
    }

    /// Reads a sweep file's text; `file` is for messages and for finding the notebook.
    ///
    /// # Errors
    /// As [`SweepSpec::read`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, SpecError> {
        let reader = Reader { file, text };
        let table = DeTable::parse(text).map_err(|error| SpecError::Syntax {
            place: reader.place(&error.span().unwrap_or_default()),
            message: error.message().to_owned(),
        })?;
        let table = table.get_ref();
        reader.check_keys(table)?;
        reader.check_version(table)?;
        let (notebook, _) = reader
            .string(table, "notebook")?
            .ok_or_else(|| reader.missing("notebook"))?;
        let grid_span = table.get("grid").map(Spanned::span).unwrap_or_default();
        let parameters = reader.parameters(table)?;
        let grid = reader.grid(table)?;
        for axis in &grid {
            if parameters.iter().any(|given| given.name == axis.name) {
                let place = axis.values[0].place.clone();
                return Err(SpecError::GivenTwice {
                    place,
                    name: axis.name.clone(),
                });
            }
        }
        Ok(Self {
            file: file.to_owned(),
            text: text.to_owned(),
            name: reader.name(table)?,
            notebook: file.parent().unwrap_or(Path::new("")).join(notebook),
            parameters,
            grid,
            grid_place: reader.place(&grid_span),
        })
    }
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
}

type Table<'a> = DeTable<'a>;

impl Reader<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        Place::at(self.file, self.text, span.start)
    }

    fn missing(&self, key: &'static str) -> SpecError {
        SpecError::Missing {
            path: self.file.to_owned(),
            key,
        }
    }

    fn check_keys(&self, table: &Table<'_>) -> Result<(), SpecError> {
        match table
            .keys()
            .find(|key| !KEYS.contains(&key.get_ref().as_ref()))
        {
            None => Ok(()),
            Some(key) => Err(SpecError::UnknownKey {
                place: self.place(&key.span()),
                key: key.get_ref().to_string(),
                known: KEYS.to_vec(),
            }),
        }
    }

    fn check_version(&self, table: &Table<'_>) -> Result<(), SpecError> {
        let version = table
            .get("version")
            .ok_or_else(|| self.missing("version"))?;
        match version.get_ref() {
            DeValue::Integer(number) if number.as_str() == "1" => Ok(()),
            DeValue::Integer(number) => Err(SpecError::Version {
                place: self.place(&version.span()),
                found: number.as_str().to_owned(),
            }),
            _ => Err(self.wrong_type("version", version, "the integer 1")),
        }
    }

    fn name(&self, table: &Table<'_>) -> Result<String, SpecError> {
        let (name, span) = match self.string(table, "name")? {
            Some(given) => given,
            None => {
                let stem = self.file.file_stem().unwrap_or_default();
                (stem.to_string_lossy().into_owned(), 0..0)
            }
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let is_valid = name.chars().all(allowed)
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.len() <= 100;
        if is_valid {
            Ok(name)
        } else {
            Err(SpecError::Name {
                place: self.place(&span),
                name,
            })
        }
    }

    fn string(
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

    fn table<'a>(
        &self,
        table: &'a Table<'a>,
        key: &str,
    ) -> Result<Option<&'a Table<'a>>, SpecError> {
        let Some(value) = table.get(key) else {
            return Ok(None);
        };
        match value.get_ref() {
            DeValue::Table(inner) => Ok(Some(inner)),
            _ => Err(self.wrong_type(key, value, "a table")),
        }
    }

    fn parameters(&self, table: &Table<'_>) -> Result<Vec<Given>, SpecError> {
        let Some(parameters) = self.table(table, "parameters")? else {
            return Ok(Vec::new());
        };
        in_file_order(parameters)
            .into_iter()
            .map(|(name, value)| self.given(&name, value))
            .collect()
    }

    fn grid(&self, table: &Table<'_>) -> Result<Vec<Axis>, SpecError> {
        let Some(grid) = self.table(table, "grid")? else {
            return Ok(Vec::new());
        };
        let empty = |key: &str, span: Range<usize>| SpecError::Empty {
            place: self.place(&span),
            key: key.to_owned(),
        };
        if grid.is_empty() {
            let span = table.get("grid").map(Spanned::span).unwrap_or_default();
            return Err(empty("grid", span));
        }
        let mut axes = Vec::new();
        for (name, value) in in_file_order(grid) {
            let DeValue::Array(values) = value.get_ref() else {
                return Err(self.wrong_type(&name, value, "a list of values"));
            };
            if values.is_empty() {
                return Err(empty(&name, value.span()));
            }
            let values = values
                .iter()
                .map(|value| self.given(&name, value))
                .collect::<Result<_, _>>()?;
            axes.push(Axis { name, values });
        }
        Ok(axes)
    }

    fn given(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Given, SpecError> {
        Ok(Given {
            name: name.to_owned(),
            value: self.json(name, value)?,
            place: self.place(&value.span()),
        })
    }

    fn json(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Value, SpecError> {
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

    fn wrong_type(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &'static str,
    ) -> SpecError {
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
fn in_file_order<'a>(table: &'a Table<'a>) -> Vec<(String, &'a Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
        .into_iter()
        .map(|(key, value)| (key.get_ref().to_string(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        SweepSpec::parse(Path::new("nightly.toml"), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_smallest_spec_is_enough() {
        let text = "version = 1\nnotebook = \"x.ipynb\"\n[grid]\nx = [1, 2]\n";
        let spec = SweepSpec::parse(Path::new("sweeps/nightly.toml"), text).unwrap();
        assert_eq!(spec.name, "nightly");
        assert_eq!(spec.notebook, Path::new("sweeps/x.ipynb"));
        assert_eq!(spec.grid[0].values[1].value, Value::from(2));
        assert_eq!(
            spec.grid[0].values[1].place.to_string(),
            "sweeps/nightly.toml, line 4, column 9"
        );
    }

    #[test]
    fn axes_keep_the_order_of_the_file() {
        let text = "version = 1\nnotebook = \"x.ipynb\"\n[grid]\nzeta = [1]\nalpha = [2]\n";
        let spec = SweepSpec::parse(Path::new("n.toml"), text).unwrap();
        let names: Vec<_> = spec.grid.iter().map(|axis| axis.name.as_str()).collect();
        assert_eq!(names, ["zeta", "alpha"]);
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let start = "version = 1\nnotebook = \"x.ipynb\"\n";
        assert_eq!(
            error(&format!("{start}gird = {{ x = [1] }}\n")),
            "nightly.toml, line 3, column 1: unknown key `gird`; did you mean `grid`?; known: version, notebook, name, parameters, grid"
        );
        assert_eq!(
            error(&format!("{start}[grid]\nx = []\n")),
            "nightly.toml, line 4, column 5: `x` is empty, so that there is nothing to run"
        );
        assert!(error(&format!("{start}[grid]\n")).contains("`grid` is empty"));
        assert_eq!(
            error(&format!("{start}[grid]\nx = 3\n")),
            "nightly.toml, line 4, column 5: `x`: expected a list of values, found the integer 3"
        );
        assert_eq!(
            error("notebook = \"x\"\n"),
            "nightly.toml: the key `version` is missing"
        );
        assert!(
            error("version = 2\nnotebook = \"x\"\n")
                .contains("version 2 of the sweep file is not known")
        );
        assert!(
            error("version = 1\nnotebook = 3\n")
                .contains("line 2, column 12: `notebook`: expected a string")
        );
        assert!(error("version = \n").starts_with("nightly.toml, line 1, column"));
        assert!(
            error(&format!("{start}name = \"../x\"\n")).contains("cannot be the name of a sweep")
        );
        assert!(
            error(&format!("{start}[parameters]\nx = 1\n[grid]\nx = [1]\n"))
                .contains("stands in [parameters] and in [grid]")
        );
    }
}
