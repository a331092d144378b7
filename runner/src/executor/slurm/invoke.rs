//! Runs a command of Slurm as a process, with a timeout, and classifies its error messages.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{ChildStderr, Command};
use tokio::time::timeout;
use tracing::debug;

use super::commands::SlurmError;

/// Longer than the timeout after which Slurm's commands themselves give up on a controller that does
/// not answer (some ten seconds).
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// Messages after which `sbatch` goes on trying for two minutes. offmodel kills it instead and tries
/// again itself, because it must poll meanwhile.
pub(super) const NO_ROOM: [&str; 2] = ["temporarily unable to accept job", "job queue full"];

/// Runs a command and returns its standard output.
pub(super) async fn output_of(
    program: &'static str,
    arguments: &[&str],
) -> Result<String, SlurmError> {
    let mut command = Command::new(program);
    command.args(arguments);
    run_until(program, command, &[]).await
}

/// Runs a command and returns its standard output; kills it as soon as it writes one of
/// `fatal_messages` to its standard error.
pub(super) async fn run_until(
    program: &'static str,
    mut command: Command,
    fatal_messages: &[&str],
) -> Result<String, SlurmError> {
    // The runner may itself be a Slurm job. The variables of that job would change what commands
    // do and show.
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("SLURM_") && name != "SLURM_CONF" || name.starts_with("SQUEUE_") {
            command.env_remove(&variable);
        }
    }
    command
        // Print lists of array indices in full.
        .env("SLURM_BITSTR_LEN", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        // Ctrl-C reaches the runner alone, so that no submission is cut in half.
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
    let run = async {
        let mut output = Vec::new();
        let watch = async {
            let errors = read_until(stderr, fatal_messages).await?;
            if errors.is_fatal {
                child.start_kill()?;
            }
            Ok::<_, std::io::Error>(errors)
        };
        let (read, errors) = tokio::join!(stdout.read_to_end(&mut output), watch);
        read?;
        let errors = errors?;
        Ok((child.wait().await?, output, errors))
    };
    let (status, output, errors) = match timeout(COMMAND_TIMEOUT, run).await {
        Err(_) => {
            return Err(SlurmError::Unreachable {
                command: program,
                message: format!("nothing for {} s", COMMAND_TIMEOUT.as_secs()),
            });
        }
        Ok(ended) => ended.map_err(missing)?,
    };
    debug!(program, %status, "Slurm command ended");
    if status.success() && !errors.is_fatal {
        return Ok(String::from_utf8_lossy(&output).into_owned());
    }
    Err(classify(program, one_line(&errors.text)))
}

/// What a command wrote to its standard error.
struct StandardError {
    text: String,
    /// Whether the text ends with one of the fatal messages.
    is_fatal: bool,
}

async fn read_until(
    stderr: ChildStderr,
    fatal_messages: &[&str],
) -> std::io::Result<StandardError> {
    let mut reader = BufReader::new(stderr);
    let mut text = String::new();
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).await? > 0 {
        let line = String::from_utf8_lossy(&bytes);
        text.push_str(&line);
        if fatal_messages.iter().any(|message| line.contains(message)) {
            return Ok(StandardError {
                text,
                is_fatal: true,
            });
        }
        bytes.clear();
    }
    Ok(StandardError {
        text,
        is_fatal: false,
    })
}

/// Finds the kind of error in a message. The texts are those of Slurm's `slurm_errno.c`.
fn classify(command: &'static str, message: String) -> SlurmError {
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
        NO_ROOM[0],
        NO_ROOM[1],
        "SubmitJobLimit",
        "MaxSubmitJob",
        "job submit limit",
        "Job limit",
        "Resource temporarily unavailable",
    ];
    let contains = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if contains(&UNREACHABLE) {
        SlurmError::Unreachable { command, message }
    } else if contains(&FULL) {
        SlurmError::Full { command, message }
    } else {
        SlurmError::Refused { command, message }
    }
}

/// Joins the lines of an error message, without the `PROGRAM: error: ` in front of each.
fn one_line(text: &str) -> String {
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

    /// Messages captured from Slurm 22.05.
    #[test]
    fn transient_errors_are_distinguished_from_refusals() {
        let error = |text: &str| classify("sbatch", one_line(text));
        let unreachable = error(
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n",
        );
        assert!(unreachable.is_transient());
        assert_eq!(
            unreachable.to_string(),
            "Slurm cannot be reached: `sbatch` says: Batch job submission failed: Unable to contact slurm controller (connect failure)"
        );
        let full = error(
            "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n",
        );
        assert!(matches!(full, SlurmError::Full { .. }));
        let refused = error(
            "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified\n",
        );
        assert!(!refused.is_transient());
        assert_eq!(
            refused.to_string(),
            "Slurm refuses: `sbatch` says: invalid partition specified: nope; Batch job submission failed: Invalid partition name specified"
        );
    }
}
