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

/// What further crates are built for. Named to Cargo, so that libraries for cells and those for
/// macros and build scripts lie apart.
pub(super) const TARGET: &str = "x86_64-unknown-linux-gnu";
/// How soon a request to stop is noticed.
const STEP: Duration = Duration::from_millis(20);

/// Stops a build, from another thread. Cheap to clone.
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
pub(super) enum Ended {
    Succeeded {
        stdout: Vec<String>,
    },
    /// Cargo's own words about what is wrong.
    Failed {
        reason: String,
    },
    Stopped,
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
        // Takes the place of flags in configuration files too.
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .env("CARGO_TERM_PROGRESS_WHEN", "never")
        .env("CARGO_TERM_QUIET", "false");
    // What is meant for cells, or for the user's own builds.
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

/// Runs Cargo; every step that it tells of goes to `progress`.
///
/// With `stop`, Cargo and its compilers are a process group of their own, which is killed when
/// that is requested. Without, they share the terminal's Ctrl-C with the caller.
pub(super) fn run(
    mut command: Command,
    stop: Option<&CancellationToken>,
    progress: &mut dyn FnMut(&str),
) -> io::Result<Ended> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if stop.is_some() {
        command.process_group(0);
    }
    let mut child = command.spawn()?;
    let (sender, lines) = channel();
    read_lines(child.stdout.take(), Line::Stdout, sender.clone());
    read_lines(child.stderr.take(), Line::Stderr, sender);
    let mut stdout = Vec::new();
    let mut said = Vec::new();
    match wait(&mut child, &lines, stop, &mut |line| match line {
        Line::Stdout(line) => stdout.push(line),
        Line::Stderr(line) => {
            if let Some(step) = step(&line) {
                progress(step);
            } else {
                said.push(line);
            }
        }
    })? {
        None => Ok(Ended::Stopped),
        Some(status) if status.success() => Ok(Ended::Succeeded { stdout }),
        Some(status) => Ok(Ended::Failed {
            reason: reason(&said, status),
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

/// The exit status, or `None` if it was stopped.
fn wait(
    child: &mut Child,
    lines: &Receiver<Line>,
    stop: Option<&CancellationToken>,
    hear: &mut dyn FnMut(Line),
) -> io::Result<Option<ExitStatus>> {
    loop {
        if stop.is_some_and(CancellationToken::is_cancelled) {
            // It may just have ended.
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            child.wait()?;
            return Ok(None);
        }
        match lines.recv_timeout(STEP) {
            Ok(line) => hear(line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return child.wait().map(Some),
        }
    }
}

/// What Cargo does, if a line of its standard error tells that: "Compiling itoa v1.0.19".
fn step(line: &str) -> Option<&str> {
    const STEPS: [&str; 11] = [
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
    // Cargo aligns the word to the right of twelve columns; other text is not indented so.
    let text = line.strip_prefix("  ").map(str::trim_start)?;
    let word = text.split(' ').next()?;
    (STEPS.contains(&word) && line.find(word)? + word.len() == 12).then_some(text)
}

/// From the first error on; everything, if none is marked as one.
fn reason(said: &[String], status: ExitStatus) -> String {
    let first = said
        .iter()
        .position(|line| line.starts_with("error"))
        .unwrap_or(0);
    let text = said[first..].join("\n");
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
    fn cargos_steps_are_told_from_its_complaints() {
        assert_eq!(
            step("   Compiling itoa v1.0.19"),
            Some("Compiling itoa v1.0.19")
        );
        assert_eq!(
            step("    Updating crates.io index"),
            Some("Updating crates.io index")
        );
        assert_eq!(step("error: no matching package named `x` found"), None);
        assert_eq!(step("  Compiling is what it did"), None);
    }
}
