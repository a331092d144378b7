use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use offmodel_support::environment::RUSTC_WRAPPER;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::Toolchain;

/// How often a running build checks whether it was cancelled.
const CANCELLATION_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Cancels a build from another thread. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct CancellationToken(Arc<AtomicBool>);

impl CancellationToken {
    /// Cancels the running build; if none runs, the next one, unless [`reset`](Self::reset) is
    /// called before it starts.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Forgets an earlier cancellation.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a call of Cargo ended.
pub(super) enum CargoOutcome {
    Succeeded {
        stdout: Vec<String>,
    },
    Failed {
        /// Cargo's error message.
        reason: String,
    },
    Cancelled,
}

/// A call of the Cargo that belongs to the compiler, on the package in `folder`.
pub(super) fn command(toolchain: &Toolchain, folder: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(toolchain.sysroot.join("bin").join("cargo"));
    command
        .arg(subcommand)
        .args(["--color", "never"])
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        .current_dir(folder)
        .env("RUSTC", &toolchain.rustc)
        // Overrides the flags in the user's configuration files.
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .env("CARGO_TERM_PROGRESS_WHEN", "never")
        .env("CARGO_TERM_QUIET", "false");
    // Settings for the compilation of cells, or for the user's own builds.
    for variable in [
        RUSTC_WRAPPER,
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "LD_LIBRARY_PATH",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Runs Cargo and passes its status lines to `progress`.
///
/// With `cancellation`, Cargo and its compilers form a process group of their own, which is killed
/// on cancellation. Without, they stay in the caller's group and receive the terminal's Ctrl-C.
pub(super) fn run(
    mut command: Command,
    cancellation: Option<&CancellationToken>,
    progress: &mut dyn FnMut(&str),
) -> io::Result<CargoOutcome> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if cancellation.is_some() {
        command.process_group(0);
    }
    let mut child = command.spawn()?;
    let (sender, lines) = channel();
    read_lines(child.stdout.take(), Line::Stdout, sender.clone());
    read_lines(child.stderr.take(), Line::Stderr, sender);
    let mut stdout = Vec::new();
    let mut messages = Vec::new();
    match wait(&mut child, &lines, cancellation, &mut |line| match line {
        Line::Stdout(line) => stdout.push(line),
        Line::Stderr(line) => {
            if let Some(status) = status_line(&line) {
                progress(status);
            } else {
                messages.push(line);
            }
        }
    })? {
        None => Ok(CargoOutcome::Cancelled),
        Some(status) if status.success() => Ok(CargoOutcome::Succeeded { stdout }),
        Some(status) => Ok(CargoOutcome::Failed {
            reason: failure_reason(&messages, status),
        }),
    }
}

enum Line {
    Stdout(String),
    Stderr(String),
}

fn read_lines(
    pipe: Option<impl Read + Send + 'static>,
    line_of: fn(String) -> Line,
    lines: Sender<Line>,
) {
    let Some(pipe) = pipe else { return };
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while pipe
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            if lines.send(line_of(text)).is_err() {
                return;
            }
            bytes.clear();
        }
    });
}

/// Passes lines to `on_line` until the child ends. Returns its exit status, or none if the build was
/// cancelled.
fn wait(
    child: &mut Child,
    lines: &Receiver<Line>,
    cancellation: Option<&CancellationToken>,
    on_line: &mut dyn FnMut(Line),
) -> io::Result<Option<ExitStatus>> {
    loop {
        if cancellation.is_some_and(CancellationToken::is_cancelled) {
            // Fails if the group ended just now; the child is not waited for yet, so its number
            // cannot belong to another process.
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            child.wait()?;
            return Ok(None);
        }
        match lines.recv_timeout(CANCELLATION_POLL_INTERVAL) {
            Ok(line) => on_line(line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return child.wait().map(Some),
        }
    }
}

/// The text of a status line, such as "Compiling itoa v1.0.19"; none if `line` is a message.
fn status_line(line: &str) -> Option<&str> {
    const STATUS_WORDS: [&str; 11] = [
        "Updating",
        "Locking",
        "Adding",
        "Downloading",
        "Downloaded",
        "Compiling",
        "Checking",
        "Fresh",
        "Blocking",
        "Finished",
        "Removing",
    ];
    /// Cargo aligns the word to the right in this many columns; it does not indent messages so.
    const WORD_END: usize = 12;
    let text = line.strip_prefix("  ").map(str::trim_start)?;
    let word = text.split(' ').next()?;
    (STATUS_WORDS.contains(&word) && line.find(word)? + word.len() == WORD_END).then_some(text)
}

/// The messages from the first error on; all messages if none is marked as an error.
fn failure_reason(messages: &[String], status: ExitStatus) -> String {
    let first = messages
        .iter()
        .position(|line| line.starts_with("error"))
        .unwrap_or(0);
    let text = messages[first..].join("\n");
    let text = text.trim().trim_start_matches("error: ");
    if text.is_empty() {
        return status.to_string();
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_distinguished_from_messages() {
        assert_eq!(
            status_line("   Compiling itoa v1.0.19"),
            Some("Compiling itoa v1.0.19")
        );
        assert_eq!(
            status_line("    Updating crates.io index"),
            Some("Updating crates.io index")
        );
        assert_eq!(
            status_line("error: no matching package named `x` found"),
            None
        );
        assert_eq!(status_line("  Compiling is what it did"), None);
    }
}
