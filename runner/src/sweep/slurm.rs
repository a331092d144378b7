use std::time::Duration;

use super::SpecError;
use super::policy::duration;
use super::reader::{Reader, Table};

/// `[slurm]`: how a cluster is asked for attempts, beside their `[resources]` and `timeout`.
#[derive(Debug, Clone, PartialEq)]
pub struct SlurmSettings {
    /// The partition, or several separated by commas.
    pub partition: Option<String>,
    /// The account that pays.
    pub account: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// The time limit of a job; without it, a little more than `timeout`, without that the
    /// partition's.
    pub time: Option<Duration>,
    /// How long before the job's limit a program is asked to stop.
    pub checkpoint: Option<Duration>,
    /// How many attempts run at once.
    pub throttle: Option<usize>,
    /// How many attempts are in Slurm at once, waiting ones included.
    pub max_queued: Option<usize>,
    /// Whether Slurm starts an attempt again that it took away.
    pub requeue: bool,
    /// The kind of GPU, as in `--gres=gpu:KIND:1`.
    pub gpu_type: Option<String>,
    /// Further options of `sbatch`, each as `--name` or `--name=value`.
    pub directives: Vec<String>,
}

impl Default for SlurmSettings {
    fn default() -> Self {
        Self {
            partition: None,
            account: None,
            qos: None,
            time: None,
            checkpoint: None,
            throttle: None,
            max_queued: None,
            requeue: true,
            gpu_type: None,
            directives: Vec::new(),
        }
    }
}

const KEYS: [&str; 10] = [
    "partition",
    "account",
    "qos",
    "time",
    "checkpoint",
    "throttle",
    "max_queued",
    "requeue",
    "gpu_type",
    "directives",
];

/// Options of `sbatch` that the runner sets itself, with what sets them.
const OWN: [(&str, &str); 25] = [
    ("account", "`account`"),
    ("array", "`throttle`; the trials make the array"),
    ("chdir", "nothing: cells work in the notebook's folder"),
    ("clusters", "nothing: set SLURM_CONF for another cluster"),
    ("cpus-per-task", "`cores` in [resources]"),
    ("dependency", "nothing"),
    ("error", "nothing: `offmodel logs` finds what trials write"),
    ("help", "nothing"),
    ("hold", "nothing"),
    ("input", "nothing"),
    ("job-name", "the sweep's `name`"),
    ("mem", "`memory` in [resources]"),
    ("no-requeue", "`requeue`"),
    ("nodes", "nothing: a trial runs on one node"),
    ("ntasks", "nothing: a trial is one task"),
    ("open-mode", "nothing"),
    ("output", "nothing: `offmodel logs` finds what trials write"),
    ("parsable", "nothing"),
    ("partition", "`partition`"),
    ("qos", "`qos`"),
    ("requeue", "`requeue`"),
    ("signal", "`checkpoint`"),
    ("test-only", "nothing"),
    ("time", "`time`"),
    ("wrap", "nothing"),
];

/// What the sweep file says about Slurm.
pub(super) fn slurm(reader: &Reader<'_>, table: &Table<'_>) -> Result<SlurmSettings, SpecError> {
    let Some(table) = reader.table(table, "slurm")? else {
        return Ok(SlurmSettings::default());
    };
    reader.check_keys(table, &KEYS)?;
    let requeue = match table.get("requeue") {
        None => true,
        Some(entry) => reader
            .json("requeue", entry)?
            .as_bool()
            .ok_or_else(|| reader.wrong_type("requeue", entry, "true or false"))?,
    };
    Ok(SlurmSettings {
        partition: name(reader, table, "partition")?,
        account: name(reader, table, "account")?,
        qos: name(reader, table, "qos")?,
        time: duration(reader, table, "time")?,
        checkpoint: duration(reader, table, "checkpoint")?,
        throttle: positive(reader, table, "throttle")?,
        max_queued: positive(reader, table, "max_queued")?,
        requeue,
        gpu_type: name(reader, table, "gpu_type")?,
        directives: directives(reader, table)?,
    })
}

/// A name in Slurm's configuration: one word, so that it stays one word in a batch script.
fn name(reader: &Reader<'_>, table: &Table<'_>, key: &str) -> Result<Option<String>, SpecError> {
    let Some((text, _)) = reader.string(table, key)? else {
        return Ok(None);
    };
    let is_word = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.,:+@/".contains(c));
    match table.get(key) {
        Some(entry) if !is_word => Err(reader.wrong_type(key, entry, "a name known to Slurm")),
        _ => Ok(Some(text)),
    }
}

fn positive(reader: &Reader<'_>, table: &Table<'_>, key: &str) -> Result<Option<usize>, SpecError> {
    match (reader.count(table, key)?, table.get(key)) {
        (Some(0), Some(entry)) => Err(reader.wrong_type(key, entry, "a positive integer")),
        (count, _) => Ok(count),
    }
}

fn directives(reader: &Reader<'_>, table: &Table<'_>) -> Result<Vec<String>, SpecError> {
    let Some(entry) = table.get("directives") else {
        return Ok(Vec::new());
    };
    reader
        .list("directives", entry)?
        .iter()
        .map(|entry| {
            let expected = "an option of sbatch, such as \"--constraint=a100\"";
            let wrong = || reader.wrong_type("directives", entry, expected);
            let text = reader.json("directives", entry)?;
            let text = text.as_str().ok_or_else(wrong)?;
            let option = text.strip_prefix("--").ok_or_else(wrong)?;
            let option = option.split('=').next().unwrap_or_default();
            let is_option = option.starts_with(|c: char| c.is_ascii_lowercase())
                && option
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !text.chars().any(char::is_control);
            if !is_option {
                return Err(wrong());
            }
            match OWN.iter().find(|(own, _)| *own == option) {
                None => Ok(text.to_owned()),
                Some((_, instead)) => Err(SpecError::Directive {
                    place: reader.place(&entry.span()),
                    option: option.to_owned(),
                    instead,
                }),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::SweepSpec;
    use super::*;

    fn parse(slurm: &str) -> Result<SlurmSettings, String> {
        let text = format!("version = 1\nnotebook = \"x.ipynb\"\n[slurm]\n{slurm}\n");
        SweepSpec::parse(Path::new("n.toml"), &text)
            .map(|spec| spec.policy.slurm)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_is_read() {
        let settings = parse(
            "partition = \"gpu,long\"\naccount = \"lab\"\nqos = \"low\"\ntime = \"4h\"\ncheckpoint = \"2m\"\nthrottle = 8\nmax_queued = 500\nrequeue = false\ngpu_type = \"a100\"\ndirectives = [\"--constraint=nvlink\", \"--exclusive\"]",
        )
        .unwrap();
        assert_eq!(settings.partition.as_deref(), Some("gpu,long"));
        assert_eq!(settings.time, Some(Duration::from_secs(14_400)));
        assert_eq!(settings.checkpoint, Some(Duration::from_secs(120)));
        assert_eq!(
            (settings.throttle, settings.max_queued),
            (Some(8), Some(500))
        );
        assert!(!settings.requeue);
        assert_eq!(settings.directives, ["--constraint=nvlink", "--exclusive"]);
        assert_eq!(parse("").unwrap(), SlurmSettings::default());
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        assert!(parse("partitoin = \"gpu\"").unwrap_err().starts_with(
            "n.toml, line 4, column 1: unknown key `partitoin`; did you mean `partition`?"
        ));
        assert_eq!(
            parse("throttle = 0").unwrap_err(),
            "n.toml, line 4, column 12: `throttle`: expected a positive integer, found the integer 0"
        );
        assert_eq!(
            parse("directives = [\"--array=1-5\"]").unwrap_err(),
            "n.toml, line 4, column 15: `--array` is set by the runner; instead of it: `throttle`; the trials make the array"
        );
        for hostile in [
            "exclusive",
            "--x\\n#SBATCH --wrap=y",
            "--",
            "--=x",
            "--a b=c",
        ] {
            assert!(
                parse(&format!("directives = [\"{hostile}\"]"))
                    .unwrap_err()
                    .contains("expected an option of sbatch"),
                "{hostile}"
            );
        }
        assert!(
            parse("account = \"a b\"")
                .unwrap_err()
                .contains("expected a name known to Slurm")
        );
    }
}
