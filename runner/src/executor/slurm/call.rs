//! One of Slurm's commands as a process: with patience, and with its complaints understood.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{ChildStderr, Command};
use tokio::time::timeout;

use super::commands::SlurmError;

/// Longer than Slurm's own patience with a controller that does not answer (some ten seconds).
const PATIENCE: Duration = Duration::from_secs(60);

/// What `sbatch` says before it waits for room, for two minutes in all. We have more to do, and ask
/// again ourselves.
pub const WAITS_FOR_ROOM: &[&str] = &["temporarily unable to accept job", "job queue full"];

/// Runs one of Slurm's commands and gives what it printed.
pub async fn output_of(program: &'static str, arguments: &[&str]) -> Result<String, SlurmError> {
    let mut command = Command::new(program);
    command.args(arguments);
    run(program, command).await
}

async fn run(program: &'static str, command: Command) -> Result<String, SlurmError> {
    run_until(program, command, None).await
}

/// Runs a command to its end, or until it writes one of some words to its standard error.
pub async fn run_until(
    program: &'static str,
    mut command: Command,
    words: Option<&[&str]>,
) -> Result<String, SlurmError> {
    // The runner may itself be a job: what Slurm told that job is not meant for ours.
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("SLURM_") && name != "SLURM_CONF" || name.starts_with("SQUEUE_") {
            command.env_remove(&variable);
        }
    }
    command
        // Lists of tasks are not cut short.
        .env("SLURM_BITSTR_LEN", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        // Ctrl-C is for the runner: a submission is never cut in half.
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let missing = |error: std::io::Error| SlurmError::Missing {
        command: program,
        reason: error.to_string(),
    };
    let mut child = command.spawn().map_err(missing)?;
    let (Some(mut stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(missing(std::io::Error::other(
            "its standard streams are missing",
        )));
    };
    let ended = async {
        let mut output = Vec::new();
        let listening = async {
            let said = read_until(stderr, words).await?;
            if said.ends_early {
                child.start_kill()?;
            }
            Ok::<_, std::io::Error>(said)
        };
        let (read, said) = tokio::join!(stdout.read_to_end(&mut output), listening);
        read?;
        let said = said?;
        Ok((child.wait().await?, output, said))
    };
    let (status, output, said) = match timeout(PATIENCE, ended).await {
        Err(_) => {
            return Err(SlurmError::Unreachable {
                command: program,
                message: format!("nothing for {} s", PATIENCE.as_secs()),
            });
        }
        Ok(ended) => ended.map_err(missing)?,
    };
    if status.success() && !said.ends_early {
        return Ok(String::from_utf8_lossy(&output).into_owned());
    }
    let message = readable(&said.text);
    Err(complaint(program, message))
}

/// What a command wrote to its standard error.
struct StandardError {
    text: String,
    /// Whether it has one of the words that were waited for.
    ends_early: bool,
}

async fn read_until(stderr: ChildStderr, words: Option<&[&str]>) -> std::io::Result<StandardError> {
    let mut reader = BufReader::new(stderr);
    let mut text = String::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await? > 0 {
        let told = String::from_utf8_lossy(&line);
        text.push_str(&told);
        let mut words = words.into_iter().flatten();
        if words.any(|word| told.contains(word)) {
            return Ok(StandardError {
                text,
                ends_early: true,
            });
        }
        line.clear();
    }
    Ok(StandardError {
        text,
        ends_early: false,
    })
}

/// Which kind of trouble a message tells. The words are those of Slurm's `slurm_errno.c`.
fn complaint(command: &'static str, message: String) -> SlurmError {
    const UNREACHABLE: [&str; 8] = [
        "Unable to contact slurm controller",
        "Socket timed out",
        "Communication connection failure",
        "Zero Bytes were transmitted",
        "Connection refused",
        "Connection timed out",
        "Protocol authentication error",
        "Slurm backup controller in standby mode",
    ];
    const FULL: [&str; 7] = [
        WAITS_FOR_ROOM[0],
        WAITS_FOR_ROOM[1],
        "SubmitJobLimit",
        "MaxSubmitJob",
        "job submit limit",
        "Job limit",
        "Resource temporarily unavailable",
    ];
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&UNREACHABLE) {
        SlurmError::Unreachable { command, message }
    } else if says(&FULL) {
        SlurmError::Full { command, message }
    } else {
        SlurmError::Refused { command, message }
    }
}

/// One line, without the program's name in front of every part.
fn readable(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let line = line
                .split_once("error: ")
                .map_or(line, |(_, message)| message);
            line.chars().filter(|c| !c.is_control()).collect()
        })
        .filter(|line: &String| !line.trim().is_empty())
        .collect();
    if lines.is_empty() {
        "nothing, but failed".to_owned()
    } else {
        lines.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Slurm 22.05 wrote them.
    #[test]
    fn complaints_that_pass_are_told_from_refusals() {
        let told = |text: &str| complaint("sbatch", readable(text));
        let unreachable = told(
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n",
        );
        assert!(unreachable.is_passing());
        assert_eq!(
            unreachable.to_string(),
            "Slurm cannot be reached: `sbatch` says: Batch job submission failed: Unable to contact slurm controller (connect failure)"
        );
        let full = told(
            "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n",
        );
        assert!(matches!(full, SlurmError::Full { .. }));
        let refused = told(
            "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified\n",
        );
        assert!(!refused.is_passing());
        assert_eq!(
            refused.to_string(),
            "Slurm refuses: `sbatch` says: invalid partition specified: nope; Batch job submission failed: Invalid partition name specified"
        );
    }
}
