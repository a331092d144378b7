//! How attempts are run: limits, retries, resources and order.

use std::time::Duration;

use serde_json::Value;

use super::SpecError;
use super::factors::Row;
use super::reader::{Entry, Reader, Table};
use super::slurm::{SlurmSettings, slurm};

/// Limits, retries, resources and order of the attempts of a sweep.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// The time limit of one attempt.
    pub timeout: Option<Duration>,
    /// After this many failed trials, no further attempt starts.
    pub max_failures: Option<usize>,
    /// How often failed trials run again.
    pub retry: Retry,
    /// The resources of one attempt.
    pub resources: Resources,
    /// Which trials run first.
    pub rules: Vec<PriorityRule>,
    /// The options of Slurm jobs.
    pub slurm: SlurmSettings,
}

/// How often a trial runs again within one run of the sweep, by the reason of its failure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Retry {
    /// Retries after an error in a cell.
    pub failure: usize,
    /// Retries after the time limit.
    pub timeout: usize,
    /// Retries after the memory limit.
    pub memory: usize,
    /// Retries after a signal, an exit, or a failure to start.
    pub crash: usize,
    /// Retries after a cluster preempted the job or lost its node, and did not requeue it.
    pub preemption: usize,
    /// The delay before the first retry; it doubles with every retry, up to an hour.
    pub backoff: Duration,
}

/// The resources of one attempt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources {
    /// Logical cores, which is also the size of the thread pools.
    pub cores: Option<usize>,
    /// The limit of resident memory of the process group, in bytes.
    pub memory: Option<u64>,
    /// Whole GPUs. With 0, attempts see none; without a number, they see those of the runner.
    pub gpus: Option<usize>,
    /// Whether attempts are pinned to cores. By default, they are if they fill the machine.
    pub pin: Option<bool>,
}

/// `[[rule]]`: the priority of the trials that match.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorityRule {
    /// The values that a trial must have.
    pub when: Row,
    /// Trials with a higher priority run first. The last rule that matches decides; trials without
    /// a rule have 0.
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
const RETRY_KEYS: [&str; 6] = [
    "failure",
    "timeout",
    "memory",
    "crash",
    "preemption",
    "backoff",
];
const RESOURCES_KEYS: [&str; 4] = ["cores", "memory", "gpus", "pin"];
const RULE_KEYS: [&str; 2] = ["when", "priority"];

/// The longest delay before a retry.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(3600);

impl Retry {
    /// The delay before retry number `retry`, from 0.
    pub fn delay(&self, retry: usize) -> Duration {
        let doublings = u32::try_from(retry).unwrap_or(u32::MAX).min(20);
        self.backoff
            .saturating_mul(1 << doublings)
            .min(MAX_RETRY_DELAY)
    }
}

/// Reads the keys in [`KEYS`].
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
    reader.check_keys(table, &RETRY_KEYS)?;
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
    reader.check_keys(table, &RESOURCES_KEYS)?;
    let cores = reader.count(table, "cores")?;
    if let (Some(0), Some(entry)) = (cores, table.get("cores")) {
        return Err(reader.wrong_type("cores", entry, "a positive integer"));
    }
    Ok(Resources {
        cores,
        memory: quantity(
            reader,
            table,
            "memory",
            &SIZE_UNITS,
            "bytes, or a size such as \"4GB\"",
        )?
        .map(|bytes| bytes as u64),
        gpus: reader.count(table, "gpus")?,
        pin: reader.boolean(table, "pin")?,
    })
}

fn rule(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<PriorityRule, SpecError> {
    let table = reader.as_table("rule", entry)?;
    reader.check_keys(table, &RULE_KEYS)?;
    let when = reader
        .table(table, "when")?
        .ok_or_else(|| reader.missing("rule.when"))?;
    let priority = table
        .get("priority")
        .ok_or_else(|| reader.missing("rule.priority"))?;
    Ok(PriorityRule {
        when: reader.assignments(when)?,
        priority: reader
            .json("priority", priority)?
            .as_i64()
            .ok_or_else(|| reader.wrong_type("priority", priority, "an integer"))?,
    })
}

/// Units of time, in seconds.
const TIME_UNITS: [(&str, f64); 5] = [
    ("ms", 0.001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86400.0),
];
/// Units of memory, in bytes.
const SIZE_UNITS: [(&str, f64); 6] = [
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TB", 1e12),
];

/// A duration, in seconds or with a unit.
pub(super) fn duration(
    reader: &Reader<'_>,
    table: &Table<'_>,
    key: &str,
) -> Result<Option<Duration>, SpecError> {
    let expected = "a positive number of seconds, or a time such as \"90s\", \"10m\", \"2h\"";
    let Some(seconds) = quantity(reader, table, key, &TIME_UNITS, expected)? else {
        return Ok(None);
    };
    /// A year; a deadline far beyond it overflows the clock.
    const MAX_SECONDS: f64 = 31_536_000.0;
    Ok(Some(Duration::from_secs_f64(seconds.min(MAX_SECONDS))))
}

/// A positive quantity: a number, or text that ends with a unit.
fn quantity(
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
