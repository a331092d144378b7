use std::ops::Range;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::data::data;
use super::factor::{Factor, Row, factors, trials};
use super::policy::{self, Policy, policy};
use super::reader::{Reader, Table};
use super::{DataSource, Place, SpecError};

/// A sweep file as read: values are not yet checked against the notebook.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepSpec {
    /// The file.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    /// The name of the sweep's folder; may hold [`SweepSpec::DATE`].
    pub name: String,
    /// The notebook, as a path from the current folder.
    pub notebook: PathBuf,
    /// Values that all trials share.
    pub parameters: Vec<Given>,
    /// What varies; the last one fastest.
    pub factors: Vec<Factor>,
    /// Trials that have all values of one of these are left out.
    pub exclude: Vec<Row>,
    /// What the notebook reads.
    pub data: Vec<DataSource>,
    /// How attempts are run.
    pub policy: Policy,
    /// Where the factors begin.
    pub place: Place,
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

const KEYS: [&str; 11] = [
    "version",
    "notebook",
    "name",
    "parameters",
    "grid",
    "zip",
    "trials",
    "random",
    "seeds",
    "exclude",
    "data",
];

impl SweepSpec {
    /// What stands for the day in a sweep's name.
    pub const DATE: &str = "{date}";

    /// With the day in its name, as 2026-11-24.
    #[must_use]
    pub fn dated(mut self, day: NaiveDate) -> Self {
        self.name = self.name.replace(Self::DATE, &day.to_string());
        self
    }

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
        let known: Vec<&'static str> = KEYS.iter().chain(&policy::KEYS).copied().collect();
        reader.check_keys(table, &known)?;
        check_version(&reader, table)?;
        let (notebook, _) = reader
            .string(table, "notebook")?
            .ok_or_else(|| reader.missing("notebook"))?;
        let parameters = match reader.table(table, "parameters")? {
            Some(parameters) => reader.assignments(parameters)?,
            None => Vec::new(),
        };
        let factors = factors(&reader, table)?;
        check_given_once(&parameters, &factors)?;
        let exclude = match table.get("exclude") {
            Some(entry) => trials(&reader, "exclude", entry)?,
            None => Vec::new(),
        };
        let data = match table.get("data") {
            Some(entry) => data(&reader, entry)?,
            None => Vec::new(),
        };
        let place = factors
            .iter()
            .flat_map(|factor| factor.rows.iter().flatten())
            .map(|given| given.place.clone())
            .next();
        Ok(Self {
            file: file.to_owned(),
            text: text.to_owned(),
            name: name(&reader, table)?,
            notebook: file.parent().unwrap_or(Path::new("")).join(notebook),
            parameters,
            factors,
            exclude,
            data,
            policy: policy(&reader, table)?,
            place: place.unwrap_or_else(|| reader.place(&(0..0))),
        })
    }
}

fn check_version(reader: &Reader<'_>, table: &Table<'_>) -> Result<(), SpecError> {
    let version: &Spanned<DeValue<'_>> = table
        .get("version")
        .ok_or_else(|| reader.missing("version"))?;
    match version.get_ref() {
        DeValue::Integer(number) if number.as_str() == "1" => Ok(()),
        DeValue::Integer(number) => Err(SpecError::Version {
            place: reader.place(&version.span()),
            found: number.as_str().to_owned(),
        }),
        _ => Err(reader.wrong_type("version", version, "the integer 1")),
    }
}

/// Two sections that set the same parameter contradict each other.
fn check_given_once(parameters: &[Given], factors: &[Factor]) -> Result<(), SpecError> {
    let mut sections: Vec<(&str, &str)> = parameters
        .iter()
        .map(|given| (given.name.as_str(), "parameters"))
        .collect();
    for factor in factors {
        let before = sections.len();
        for given in factor.rows.iter().flatten() {
            if let Some((_, first)) = sections[..before]
                .iter()
                .find(|(name, _)| *name == given.name)
            {
                return Err(SpecError::GivenTwice {
                    place: given.place.clone(),
                    name: given.name.clone(),
                    first: (*first).to_owned(),
                    second: factor.section,
                });
            }
            if !sections[before..]
                .iter()
                .any(|(name, _)| *name == given.name)
            {
                sections.push((&given.name, factor.section));
            }
        }
    }
    Ok(())
}

fn name(reader: &Reader<'_>, table: &Table<'_>) -> Result<String, SpecError> {
    let (name, span): (String, Range<usize>) = match reader.string(table, "name")? {
        Some(given) => given,
        None => {
            let stem = reader.file.file_stem().unwrap_or_default();
            (stem.to_string_lossy().into_owned(), 0..0)
        }
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let dated = name.replace(SweepSpec::DATE, "2026-11-24");
    let is_valid = dated.chars().all(allowed)
        && dated.starts_with(|first: char| first.is_ascii_alphanumeric())
        && dated.len() <= 100;
    if is_valid {
        Ok(name)
    } else {
        Err(SpecError::Name {
            place: reader.place(&span),
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::DataPath;
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
        assert_eq!(spec.factors[0].rows[1][0].value, Value::from(2));
        assert_eq!(
            spec.factors[0].rows[1][0].place.to_string(),
            "sweeps/nightly.toml, line 4, column 9"
        );
    }

    #[test]
    fn a_name_may_hold_the_day() {
        let text = "version = 1\nnotebook = \"x.ipynb\"\nname = \"nightly-{date}\"\n";
        let spec = SweepSpec::parse(Path::new("n.toml"), text).unwrap();
        assert_eq!(spec.name, "nightly-{date}");
        let day = NaiveDate::from_ymd_opt(2026, 3, 29).unwrap();
        assert_eq!(spec.dated(day).name, "nightly-2026-03-29");
        let text = text.replace("{date}", "{day}");
        assert!(SweepSpec::parse(Path::new("n.toml"), &text).is_err());
    }

    #[test]
    fn axes_keep_the_order_of_the_file() {
        let text = "version = 1\nnotebook = \"x.ipynb\"\n[grid]\nzeta = [1]\nalpha = [2]\n";
        let spec = SweepSpec::parse(Path::new("n.toml"), text).unwrap();
        let names: Vec<_> = spec
            .factors
            .iter()
            .map(|factor| factor.rows[0][0].name.as_str())
            .collect();
        assert_eq!(names, ["zeta", "alpha"]);
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let start = "version = 1\nnotebook = \"x.ipynb\"\n";
        assert_eq!(
            error(&format!("{start}gird = {{ x = [1] }}\n")),
            "nightly.toml, line 3, column 1: unknown key `gird`; did you mean `grid`?; known: version, notebook, name, parameters, grid, zip, trials, random, seeds, exclude, data, timeout, max_failures, retry, resources, rule, slurm"
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

    #[test]
    fn data_are_paths_or_parameters() {
        let start = "version = 1\nnotebook = \"x.ipynb\"\n";
        let text = format!("{start}data = [\"a.jsonl\", {{ parameter = \"responses\" }}]\n");
        let spec = SweepSpec::parse(Path::new("n.toml"), &text).unwrap();
        let paths: Vec<_> = spec.data.into_iter().map(|source| source.path).collect();
        assert_eq!(
            paths,
            [
                DataPath::Fixed("a.jsonl".to_owned()),
                DataPath::Parameter("responses".to_owned())
            ]
        );
        assert_eq!(
            error(&format!("{start}data = [\"a.jsonl\", 3]\n")),
            "nightly.toml, line 3, column 20: `data`: expected a path or { parameter = \"name\" }, found the integer 3"
        );
        assert!(
            error(&format!("{start}data = [{{ paramter = \"x\" }}]\n"))
                .contains("unknown key `paramter`; did you mean `parameter`?")
        );
    }

    #[test]
    fn times_and_sizes_have_units() {
        let text = "version = 1\nnotebook = \"x.ipynb\"\ntimeout = \"10m\"\n[resources]\nmemory = \"1.5GB\"\n[retry]\ntimeout = 2\nbackoff = 30\n";
        let policy = SweepSpec::parse(Path::new("n.toml"), text).unwrap().policy;
        assert_eq!(policy.timeout.unwrap().as_secs(), 600);
        assert_eq!(policy.resources.memory, Some(1_500_000_000));
        let pauses: Vec<_> = (0..9).map(|n| policy.retry.pause(n).as_secs()).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        let start = "version = 1\nnotebook = \"x\"\n";
        assert_eq!(
            error(&format!("{start}timeout = \"10 parsecs\"\n")),
            "nightly.toml, line 3, column 11: `timeout`: expected positive seconds, or a time such as \"90s\", \"10m\", \"2h\", found the string \"10 parsecs\""
        );
        assert!(
            error(&format!("{start}[retry]\ntimout = 1\n"))
                .contains("line 4, column 1: unknown key `timout`; did you mean `timeout`?")
        );
    }
}
