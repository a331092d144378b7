use std::time::Duration;

use serde_json::Value;

use super::factor::Row;
use super::reader::{Entry, Reader, Table};
use super::slurm::{SlurmSettings, slurm};
use super::{Given, SpecError};

/// How attempts are run, and what follows a failure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// The longest that one attempt may take.
    pub timeout: Option<Duration>,
    /// After this many failed trials no further one begins.
    pub max_failures: Option<usize>,
    /// How often a trial is tried again.
    pub retry: Retry,
    /// What one attempt needs.
    pub resources: Resources,
    /// Which trials run first.
    pub rules: Vec<Rule>,
    /// How Slurm is asked for attempts.
    pub slurm: SlurmSettings,
}

/// How often a trial is tried again in one run of the sweep, by the cause of its failure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Retry {
    /// A cell's error.
    pub failure: usize,
    /// The time limit.
    pub timeout: usize,
    /// The memory limit.
    pub memory: usize,
    /// A signal, an exit, or no start.
    pub crash: usize,
    /// Taken away by a cluster and not started again by it; on this machine nothing is.
    pub preemption: usize,
    /// The pause before the first retry; every further one doubles it, up to an hour.
    pub backoff: Duration,
}

/// What one attempt needs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources {
    /// Logical cores: the size of its thread pools.
    pub cores: Option<usize>,
    /// The most resident memory of its process group, in bytes.
    pub memory: Option<u64>,
    /// Whole GPUs; 0 hides those of the machine, without a number trials see what the runner
    /// sees.
    pub gpus: Option<usize>,
    /// Whether trials are kept on cores of their own; by default, where they fill the machine.
    pub pin: Option<bool>,
}

/// `[[rule]]`: a priority for the trials that match.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The values that a trial must have.
    pub when: Row,
    /// Higher ones run first; 0 without a rule, the last rule that matches counts.
    pub priority: i64,
}

pub(super) const KEYS: [&str; 6] = [
    "timeout",
    "max_failures",
    "retry",
    "resources",
    "rule",
    "slurm",
];
const RETRY: [&str; 6] = [
    "failure",
    "timeout",
    "memory",
    "crash",
    "preemption",
    "backoff",
];
const RESOURCES: [&str; 4] = ["cores", "memory", "gpus", "pin"];
const RULE: [&str; 2] = ["when", "priority"];

/// The longest pause before a retry.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

impl Retry {
    /// The pause before retry number `retry`, from 0.
    pub fn pause(&self, retry: usize) -> Duration {
        let doublings = u32::try_from(retry).unwrap_or(u32::MAX).min(20);
        self.backoff
            .saturating_mul(1 << doublings)
            .min(LONGEST_PAUSE)
    }
}

/// What a sweep file says about running.
pub(super) fn policy(reader: &Reader<'_>, table: &Table<'_>) -> Result<Policy, SpecError> {
    let max_failures = reader.count(table, "max_failures")?;
    if let (Some(0), Some(entry)) = (max_failures, table.get("max_failures")) {
        return Err(reader.wrong_type("max_failures", entry, "a positive integer"));
    }
    Ok(Policy {
        timeout: duration(reader, table, "timeout")?,
        max_failures,
        retry: retry(reader, table)?,
        resources: resources(reader, table)?,
        rules: match table.get("rule") {
            Some(entry) => reader
                .list("rule", entry)?
                .iter()
                .map(|entry| rule(reader, entry))
                .collect::<Result<_, _>>()?,
            None => Vec::new(),
        },
        slurm: slurm(reader, table)?,
    })
}

fn retry(reader: &Reader<'_>, table: &Table<'_>) -> Result<Retry, SpecError> {
    let Some(table) = reader.table(table, "retry")? else {
        return Ok(Retry::default());
    };
    reader.check_keys(table, &RETRY)?;
    let count = |key| Ok::<_, SpecError>(reader.count(table, key)?.unwrap_or(0));
    Ok(Retry {
        failure: count("failure")?,
        timeout: count("timeout")?,
        memory: count("memory")?,
        crash: count("crash")?,
        preemption: count("preemption")?,
        backoff: duration(reader, table, "backoff")?.unwrap_or_default(),
    })
}

fn resources(reader: &Reader<'_>, table: &Table<'_>) -> Result<Resources, SpecError> {
    let Some(table) = reader.table(table, "resources")? else {
        return Ok(Resources::default());
    };
    reader.check_keys(table, &RESOURCES)?;
    let cores = reader.count(table, "cores")?;
    if let (Some(0), Some(entry)) = (cores, table.get("cores")) {
        return Err(reader.wrong_type("cores", entry, "a positive integer"));
    }
    Ok(Resources {
        cores,
        memory: measured(
            reader,
            table,
            "memory",
            &BYTES,
            "bytes, or a size such as \"4GB\"",
        )?
        .map(|bytes| bytes as u64),
        gpus: reader.count(table, "gpus")?,
        pin: reader.boolean(table, "pin")?,
    })
}

fn rule(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Rule, SpecError> {
    let table = reader.as_table("rule", entry)?;
    reader.check_keys(table, &RULE)?;
    let when = reader
        .table(table, "when")?
        .ok_or_else(|| reader.missing("rule.when"))?;
    let given = table
        .get("priority")
        .ok_or_else(|| reader.missing("rule.priority"))?;
    let Given { value, .. } = reader.given("priority", given)?;
    Ok(Rule {
        when: reader.assignments(when)?,
        priority: value
            .as_i64()
            .ok_or_else(|| reader.wrong_type("priority", given, "an integer"))?,
    })
}

const SECONDS: [(&str, f64); 5] = [
    ("ms", 0.001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86400.0),
];
const BYTES: [(&str, f64); 6] = [
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TB", 1e12),
];

pub(super) fn duration(
    reader: &Reader<'_>,
    table: &Table<'_>,
    key: &str,
) -> Result<Option<Duration>, SpecError> {
    let expected = "positive seconds, or a time such as \"90s\", \"10m\", \"2h\"";
    let Some(seconds) = measured(reader, table, key, &SECONDS, expected)? else {
        return Ok(None);
    };
    // A year: beyond that a deadline overflows clocks.
    Ok(Some(Duration::from_secs_f64(seconds.min(31_536_000.0))))
}

/// A positive number, plain or as text with a unit.
fn measured(
    reader: &Reader<'_>,
    table: &Table<'_>,
    key: &str,
    units: &[(&str, f64)],
    expected: &'static str,
) -> Result<Option<f64>, SpecError> {
    let Some(entry) = table.get(key) else {
        return Ok(None);
    };
    let number = match reader.json(key, entry)? {
        Value::String(text) => {
            let split = text
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(text.len());
            let (number, unit) = text.split_at(split);
            let factor = units.iter().find(|(name, _)| *name == unit.trim());
            number
                .parse::<f64>()
                .ok()
                .zip(factor)
                .map(|(number, (_, factor))| number * factor)
        }
        value => value.as_f64(),
    };
    number
        .filter(|number| number.is_finite() && *number > 0.0)
        .map(Some)
        .ok_or_else(|| reader.wrong_type(key, entry, expected))
}
