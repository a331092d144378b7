//! The batch script of a job array.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::sweep::Policy;

/// How long before the job's limit a program is asked to stop, unless the sweep file says.
const CHECKPOINT: Duration = Duration::from_secs(60);

/// What a job takes beside its attempt: to start, and to publish.
const ALLOWANCE: Duration = Duration::from_secs(60);

/// Memory of a job beside its attempt: the runner's part on the node, and the process that has
/// the program loaded.
const MEMORY_ALLOWANCE: u64 = 512 << 20;

/// What a script is made of; all paths are absolute.
#[derive(Debug)]
pub struct BatchScript<'a> {
    /// The job's name.
    pub name: &'a str,
    /// How many attempts.
    pub tasks: usize,
    /// What each of them needs.
    pub policy: &'a Policy,
    /// The folder for logs and records.
    pub folder: &'a Path,
    /// The program `offmodel`.
    pub offmodel: &'a Path,
    /// The array's record.
    pub record: &'a Path,
}

impl BatchScript<'_> {
    /// The script's text.
    pub fn text(&self) -> String {
        let mut text = String::from("#!/bin/sh\n");
        // The last one counts: the user's own cannot undo ours.
        for directive in &self.policy.slurm.directives {
            let quoted = match directive.split_once('=') {
                Some((option, value)) => format!("{option}={}", quoted_value(value)),
                None => directive.clone(),
            };
            push(&mut text, &quoted);
        }
        for directive in self.directives() {
            push(&mut text, &directive);
        }
        let _ = writeln!(
            text,
            "exec {} attempt {}",
            quoted_word(&self.offmodel.to_string_lossy()),
            quoted_word(&self.record.to_string_lossy())
        );
        text
    }

    fn directives(&self) -> Vec<String> {
        let settings = &self.policy.slurm;
        let resources = &self.policy.resources;
        let folder = self.folder.to_string_lossy();
        // `%` begins a replacement in a log's name, and the name alone may hold one.
        let log = format!("{}/{}-%a.log", folder.replace('%', "%%"), self.name);
        let throttle = settings
            .throttle
            .map_or_else(String::new, |throttle| format!("%{throttle}"));
        let mut directives = vec![
            format!("--job-name={}", self.name),
            format!("--array=0-{}{throttle}", self.tasks.saturating_sub(1)),
            format!("--chdir={}", quoted_value(&folder)),
            format!("--output={}", quoted_value(&log)),
            // A task that is started again goes on in its log.
            "--open-mode=append".to_owned(),
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
        ];
        let mut option = |name: &str, value: Option<String>| {
            directives.extend(value.map(|value| format!("--{name}={value}")));
        };
        option("partition", settings.partition.clone());
        option("account", settings.account.clone());
        option("qos", settings.qos.clone());
        option(
            "cpus-per-task",
            resources.cores.map(|cores| cores.to_string()),
        );
        option("mem", resources.memory.map(megabytes));
        option("gres", self.gpus());
        option(
            "time",
            job_limit(self.policy).map(|limit| minutes(limit).to_string()),
        );
        // To the script alone, which has become our own process and tells the program.
        let checkpoint = checkpoint(self.policy).as_secs();
        option("signal", Some(format!("B:USR1@{checkpoint}")));
        directives.push(
            if settings.requeue {
                "--requeue"
            } else {
                "--no-requeue"
            }
            .to_owned(),
        );
        directives
    }

    fn gpus(&self) -> Option<String> {
        let count = self.policy.resources.gpus.filter(|count| *count > 0)?;
        Some(match &self.policy.slurm.gpu_type {
            Some(kind) => format!("gpu:{kind}:{count}"),
            None => format!("gpu:{count}"),
        })
    }
}

/// The time limit of a job: as the sweep file says, or what its attempt may take and a little
/// more, so that the attempt's own limit is met first.
pub fn job_limit(policy: &Policy) -> Option<Duration> {
    let settings = &policy.slurm;
    let attempt = policy
        .timeout
        .map(|timeout| timeout + settings.checkpoint.unwrap_or(CHECKPOINT) + ALLOWANCE);
    settings.time.or(attempt)
}

/// How long before that limit the program is asked to stop; at most half of the limit.
fn checkpoint(policy: &Policy) -> Duration {
    let asked = policy.slurm.checkpoint.unwrap_or(CHECKPOINT);
    job_limit(policy).map_or(asked, |limit| asked.min(limit / 2))
}

/// Slurm counts minutes; a started one counts whole.
fn minutes(limit: Duration) -> u128 {
    limit.as_millis().div_ceil(60_000)
}

fn megabytes(bytes: u64) -> String {
    format!(
        "{}M",
        bytes.saturating_add(MEMORY_ALLOWANCE).div_ceil(1 << 20)
    )
}

fn push(text: &mut String, directive: &str) {
    let _ = writeln!(text, "#SBATCH {directive}");
}

/// A value in an `#SBATCH` line, which Slurm splits at spaces and ends at `#`, unless quoted.
fn quoted_value(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:+@/%=[]&|*".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// A word of the shell.
fn quoted_word(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::{Resources, SlurmSettings};

    fn text(policy: &Policy, folder: &str) -> String {
        let folder = Path::new(folder);
        BatchScript {
            name: "nightly.0a1b2c3d",
            tasks: 12,
            policy,
            folder,
            offmodel: Path::new("/home/ada/offmodel/target/debug/offmodel"),
            record: &folder.join("nightly.0a1b2c3d.json"),
        }
        .text()
    }

    #[test]
    fn a_plain_sweep_asks_for_nothing_special() {
        insta::assert_snapshot!(text(&Policy::default(), "/home/ada/runs/nightly/slurm"));
    }

    #[test]
    fn everything_in_the_sweep_file_is_asked_for() {
        let policy = Policy {
            timeout: Some(Duration::from_secs(7200)),
            resources: Resources {
                cores: Some(8),
                memory: Some(4_000_000_000),
                gpus: Some(2),
                ..Resources::default()
            },
            slurm: SlurmSettings {
                partition: Some("gpu".to_owned()),
                account: Some("lab".to_owned()),
                qos: Some("low".to_owned()),
                checkpoint: Some(Duration::from_secs(300)),
                throttle: Some(4),
                requeue: false,
                gpu_type: Some("a100".to_owned()),
                directives: vec![
                    "--constraint=nvlink".to_owned(),
                    "--comment=why \"not\" #1".to_owned(),
                    "--exclusive".to_owned(),
                ],
                ..SlurmSettings::default()
            },
            ..Policy::default()
        };
        insta::assert_snapshot!(text(&policy, "/home/ada/100% mine/it's/slurm"));
    }

    #[test]
    fn limits_are_whole_minutes_and_a_checkpoint_leaves_half_of_them() {
        let policy = |time: u64| Policy {
            slurm: SlurmSettings {
                time: Some(Duration::from_secs(time)),
                ..SlurmSettings::default()
            },
            ..Policy::default()
        };
        assert_eq!(minutes(Duration::from_secs(60)), 1);
        assert_eq!(minutes(Duration::from_millis(60_001)), 2);
        assert_eq!(checkpoint(&policy(60)), Duration::from_secs(30));
        assert_eq!(checkpoint(&policy(3600)), CHECKPOINT);
        assert_eq!(checkpoint(&Policy::default()), CHECKPOINT);
        assert_eq!(job_limit(&Policy::default()), None);
    }
}
