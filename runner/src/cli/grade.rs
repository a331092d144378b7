//! `offmodel grade`: grades stored responses, without a model.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use offmodel_graders::ifeval::{Graded, Instruction, grade};
use offmodel_graders::thinking::without_thinking;
use offmodel_support::environment;
use serde::Serialize;
use serde_json::Value;

use super::GradeArguments;
use super::output::{Format, Output, print};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::terminal::outln;

/// The benchmarks whose responses can be graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GradedBenchmark {
    /// Instructions that a program can check.
    Ifeval,
}

/// The rules of graders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GradingRule {
    /// The verdicts of the reference implementation; for IFEval lm-eval 0.4.13.
    Reference,
}

/// The verdicts of one IFEval response, one for each instruction.
#[derive(Serialize)]
struct IfevalVerdicts {
    version: u32,
    strict: Vec<bool>,
    loose: Vec<bool>,
    explanations: Vec<String>,
}

/// Grades every line of a file, and prints one verdict for each, in the same order. All lines are
/// read before the first verdict, so that a damaged line costs no time.
pub(super) fn grade_file(arguments: &GradeArguments) -> Result<ExitCode, RunnerError> {
    let GradedBenchmark::Ifeval = arguments.benchmark;
    let GradingRule::Reference = arguments.rule;
    let mut published = None;
    let mut items = Vec::new();
    for (number, text) in (1..).zip(read(&arguments.file)?.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let wrong = |reason: String| RunnerError::Read {
            path: arguments.file.clone(),
            reason: format!("line {number}: {reason}"),
        };
        let line = parse(text).map_err(wrong)?;
        let response = line.get("response").and_then(Value::as_str);
        let response = response.ok_or_else(|| wrong("it has no text `response`".to_owned()))?;
        let item = match line.get("instruction_id_list") {
            Some(_) => &line,
            None => {
                let key = line.get("key").and_then(Value::as_u64);
                let key = key.ok_or_else(|| {
                    wrong("it has neither `instruction_id_list` nor `key`".to_owned())
                })?;
                if published.is_none() {
                    published = Some(published_items()?);
                }
                let found = published.as_ref().and_then(|items| items.get(&key));
                found.ok_or_else(|| wrong(format!("no published item has the key {key}")))?
            }
        };
        items.push((instructions(item).map_err(wrong)?, response.to_owned()));
    }
    for (instructions, response) in &items {
        let verdicts = IfevalVerdicts::from(grade(instructions, without_thinking(response)));
        print(&verdicts, Format::lines_from_flag(arguments.json))?;
    }
    Ok(ExitCode::Success)
}

/// The instructions of an item.
fn instructions(item: &Value) -> Result<Vec<Instruction>, String> {
    let list = |field: &str| {
        let values = item.get(field).and_then(Value::as_array);
        values.ok_or_else(|| format!("`{field}` is no list"))
    };
    let ids: Option<Vec<String>> = list("instruction_id_list")?
        .iter()
        .map(|id| id.as_str().map(str::to_owned))
        .collect();
    let ids = ids.ok_or("`instruction_id_list` holds something other than texts")?;
    Instruction::read_all(&ids, list("kwargs")?).map_err(|error| error.to_string())
}

/// The items of the published data set by key, from `ifeval/ifeval.jsonl` in the folder of data
/// sets.
fn published_items() -> Result<BTreeMap<u64, Value>, RunnerError> {
    let Some(folder) = environment::value(environment::DATA) else {
        return Err(RunnerError::Read {
            path: "ifeval.jsonl".into(),
            reason: format!(
                "lines with `key` need the data set: set {} to the folder that holds \
                 ifeval/ifeval.jsonl",
                environment::DATA
            ),
        });
    };
    let path = PathBuf::from(folder).join("ifeval").join("ifeval.jsonl");
    let mut items = BTreeMap::new();
    for (number, text) in (1..).zip(read(&path)?.lines()) {
        let wrong = |reason: String| RunnerError::Read {
            path: path.clone(),
            reason: format!("line {number}: {reason}"),
        };
        let item = parse(text).map_err(wrong)?;
        let key = item.get("key").and_then(Value::as_u64);
        let key = key.ok_or_else(|| wrong("it has no `key`".to_owned()))?;
        items.insert(key, item);
    }
    Ok(items)
}

/// Reads a file, or standard input for `-`. Bytes that are not UTF-8 become U+FFFD.
fn read(path: &Path) -> Result<String, RunnerError> {
    let mut bytes = Vec::new();
    let result = match path.to_str() {
        Some("-") => std::io::stdin().lock().read_to_end(&mut bytes).map(drop),
        _ => std::fs::read(path).map(|read| bytes = read),
    };
    result.map_err(|error| RunnerError::Read {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Parses one line of JSON. Python writes lone surrogates as escapes, which `serde_json` rejects:
/// they become U+FFFD.
fn parse(text: &str) -> Result<Value, String> {
    let parsed = serde_json::from_str(text);
    let parsed = parsed.or_else(|error| match replace_lone_surrogates(text) {
        Some(replaced) => serde_json::from_str(&replaced),
        None => Err(error),
    });
    parsed.map_err(|error| format!("it is not JSON: {error}"))
}

/// The text with the escapes of lone surrogates replaced; none if it has no such escape.
fn replace_lone_surrogates(text: &str) -> Option<String> {
    let unit = |start: usize| {
        let escape = text.get(start..start + 6)?;
        u16::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()
    };
    let mut replaced = String::with_capacity(text.len());
    let (mut copied, mut position, mut found) = (0, 0, false);
    while let Some(offset) = text[position..].find('\\') {
        let start = position + offset;
        let (length, is_lone) = match unit(start) {
            Some(0xd800..0xdc00) => match unit(start + 6) {
                Some(0xdc00..0xe000) => (12, false),
                _ => (6, true),
            },
            Some(0xdc00..0xe000) => (6, true),
            _ => (
                1 + text[start + 1..].chars().next().map_or(0, char::len_utf8),
                false,
            ),
        };
        if is_lone {
            replaced.push_str(&text[copied..start]);
            replaced.push('\u{fffd}');
            copied = start + length;
            found = true;
        }
        position = start + length;
    }
    replaced.push_str(&text[copied..]);
    found.then_some(replaced)
}

impl From<Graded> for IfevalVerdicts {
    fn from(graded: Graded) -> Self {
        Self {
            version: super::output::VERSION,
            strict: graded.strict.iter().map(|check| check.followed).collect(),
            loose: graded.loose,
            explanations: graded
                .strict
                .into_iter()
                .map(|check| check.explanation)
                .collect(),
        }
    }
}

impl Output for IfevalVerdicts {
    fn print_text(&self) {
        let verdicts = self.strict.iter().zip(&self.explanations);
        let verdicts = verdicts.map(|(followed, explanation)| match followed {
            true => format!("followed ({explanation})"),
            false => format!("not followed ({explanation})"),
        });
        outln!("{}", verdicts.collect::<Vec<_>>().join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_and_escapes_stay() {
        let response = |text: &str| parse(text).map(|line| line["response"].clone());
        assert_eq!(
            response(r#"{"response": "a\ud800b"}"#),
            Ok("a\u{fffd}b".into())
        );
        assert_eq!(
            response(r#"{"response": "\ud83d\ude00 \udc00"}"#),
            Ok("😀 \u{fffd}".into())
        );
        assert_eq!(
            response(r#"{"response": "\\ud800 \ud800"}"#),
            Ok("\\ud800 \u{fffd}".into())
        );
        assert!(response("{").is_err());
    }
}
