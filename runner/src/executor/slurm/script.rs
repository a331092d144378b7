//! The batch script of a job array.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::sweep::Policy;

/// How long before the job's time limit a program is interrupted, unless the sweep file sets
/// `checkpoint`.
const DEFAULT_CHECKPOINT: Duration = Duration::from_secs(60);

/// The time that a job takes besides its attempt, to start and to publish.
const TIME_ALLOWANCE: Duration = Duration::from_secs(60);

/// The bytes that a job holds besides its attempt: `offmodel attempt`, and the fork server with the
/// loaded program.
const MEMORY_ALLOWANCE: u64 = 512 << 20;

/// The batch script of a job array. All paths are absolute.
#[derive(Debug)]
pub(super) struct BatchScript<'a> {
    /// The job's name.
    pub name: &'a str,
    /// The number of tasks.
    pub tasks: usize,
    /// Limits, resources and Slurm settings of each task.
    pub policy: &'a Policy,
    /// The folder of logs and records.
    pub folder: &'a Path,
    /// The program `offmodel`.
    pub offmodel: &'a Path,
    /// The array's record.
    pub record: &'a Path,
}

impl BatchScript<'_> {
    /// The script's text.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("#!/bin/sh\n");
        // `sbatch` uses the last of several equal options, so the user's cannot undo ours.
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
        // In a log's path, `%` begins a placeholder. Only the index of the task is one.
        let log = format!("{}/{}-%a.log", folder.replace('%', "%%"), self.name);
        let throttle = settings
            .throttle
            .map_or_else(String::new, |throttle| format!("%{throttle}"));
        let mut directives = vec![
            format!("--job-name={}", self.name),
            format!("--array=0-{}{throttle}", self.tasks.saturating_sub(1)),
            format!("--chdir={}", quoted_value(&folder)),
            format!("--output={}", quoted_value(&log)),
            // A requeued task continues its log.
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
        // `B:` sends the signal to the script's process alone: `offmodel attempt`, which `exec` put
        // in the shell's place and which interrupts the program.
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

/// The time limit of a job: that of the sweep file, otherwise a little more than the attempt's own
/// limit, so that the attempt reaches its own first. `None`: the partition's default.
pub(super) fn job_limit(policy: &Policy) -> Option<Duration> {
    let settings = &policy.slurm;
    let attempt = policy.timeout.map(|timeout| {
        timeout + settings.checkpoint.unwrap_or(DEFAULT_CHECKPOINT) + TIME_ALLOWANCE
    });
    settings.time.or(attempt)
}

/// How long before the job's time limit the program is interrupted; at most half of the limit.
fn checkpoint(policy: &Policy) -> Duration {
    let asked = policy.slurm.checkpoint.unwrap_or(DEFAULT_CHECKPOINT);
    job_limit(policy).map_or(asked, |limit| asked.min(limit / 2))
}

/// Rounds up to minutes, the unit of `--time`.
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

/// Quotes a value in an `#SBATCH` line, which Slurm splits at spaces and ends at `#`.
fn quoted_value(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:+@/%=[]&|*".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// Quotes a word of the shell.
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
    fn the_script_of_a_sweep_without_settings() {
        insta::assert_snapshot!(text(&Policy::default(), "/home/ada/runs/nightly/slurm"));
    }

    #[test]
    fn the_script_of_a_sweep_with_every_setting() {
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
    fn time_limits_are_whole_minutes_and_the_checkpoint_is_at_most_half() {
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
        assert_eq!(checkpoint(&policy(3600)), DEFAULT_CHECKPOINT);
        assert_eq!(checkpoint(&Policy::default()), DEFAULT_CHECKPOINT);
        assert_eq!(job_limit(&Policy::default()), None);
    }
}
