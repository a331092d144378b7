//! Downloads wheels with the user's own pip, whose settings for index, proxy and certificates apply.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use offmodel_support::digest;

use crate::SetupError;

/// A wheel on PyPI, pinned by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wheel<'a> {
    /// The project's name.
    pub name: &'a str,
    /// The exact version.
    pub version: &'a str,
    /// The platform tag; none for a wheel that serves every platform.
    ///
    /// A wheel with a platform is requested for Python 3.12, whichever Python runs pip. Only its C++
    /// libraries are used, and a digest can be pinned only if every machine gets the same file.
    pub platform: Option<&'a str>,
    /// SHA-256 of the wheel, in lowercase hexadecimal.
    pub sha256: &'a str,
}

impl Wheel<'_> {
    /// `name==version`.
    pub fn requirement(&self) -> String {
        format!("{}=={}", self.name, self.version)
    }
}

/// A Python interpreter with pip.
#[derive(Debug, Clone)]
pub struct Pip {
    python: PathBuf,
}

impl Default for Pip {
    /// The pip of the `python3` on the path.
    fn default() -> Self {
        Self::of("python3")
    }
}

impl Pip {
    /// The pip of an interpreter.
    pub fn of(python: impl Into<PathBuf>) -> Self {
        Self {
            python: python.into(),
        }
    }

    /// Downloads `wheel` into the empty `folder`, checks its digest and returns its path.
    ///
    /// # Errors
    /// When there is no Python, pip, network or disk space, when the index does not offer the wheel,
    /// or when its digest is another one.
    pub fn download(&self, wheel: &Wheel<'_>, folder: &Path) -> Result<PathBuf, SetupError> {
        self.run(wheel, folder)?;
        let path = only_wheel(folder)
            .map_err(|source| SetupError::reading(folder, source))?
            .ok_or_else(|| SetupError::Fetch {
                what: wheel.requirement(),
                detail: "pip reported success but left no wheel; update pip and run this again"
                    .into(),
            })?;
        let found =
            digest::sha256_of_file(&path).map_err(|source| SetupError::reading(&path, source))?;
        if found != wheel.sha256 {
            return Err(SetupError::Checksum {
                what: wheel.requirement(),
                expected: wheel.sha256.into(),
                found,
            });
        }
        Ok(path)
    }

    fn run(&self, wheel: &Wheel<'_>, folder: &Path) -> Result<(), SetupError> {
        let mut command = Command::new(&self.python);
        command.args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--no-input",
        ]);
        // To cache a download, pip reads it into memory as a whole: half a gigabyte.
        command
            .args(["--no-cache-dir", "--disable-pip-version-check", "--dest"])
            .arg(folder);
        if let Some(platform) = wheel.platform {
            command.args(["--platform", platform, "--python-version", "3.12"]);
            command.args(["--implementation", "cp"]);
        }
        command.arg(wheel.requirement());
        // Puts pip's temporary files on the disk that has room, in a folder that set-up removes.
        command.env("TMPDIR", folder);
        let output = command
            .stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .stderr(Stdio::piped())
            .output()
            .map_err(|source| self.not_started(wheel, source))?;
        if output.status.success() {
            return Ok(());
        }
        Err(self.explain(wheel, folder, &String::from_utf8_lossy(&output.stderr)))
    }

    fn not_started(&self, wheel: &Wheel<'_>, source: std::io::Error) -> SetupError {
        if source.kind() == ErrorKind::NotFound {
            SetupError::NoPython {
                what: wheel.requirement(),
                python: self.name(),
            }
        } else {
            SetupError::Io {
                action: "start",
                path: self.python.clone(),
                source,
            }
        }
    }

    /// The error for a failed download, by pip's message: its exit status is always the same.
    fn explain(&self, wheel: &Wheel<'_>, folder: &Path, message: &str) -> SetupError {
        let what = wheel.requirement();
        let contains = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
        if contains(&["No module named pip"]) {
            return SetupError::NoPip {
                what,
                python: self.name(),
            };
        }
        if contains(&["No space left on device", "Disk quota exceeded"]) {
            return SetupError::disk_full(folder);
        }
        // First, because pip ends with "No matching distribution found" without a network too.
        if let Some(detail) = network_error(message) {
            return SetupError::Network { what, detail };
        }
        if contains(&["No matching distribution found"]) {
            return SetupError::NotOffered { what };
        }
        SetupError::Fetch {
            what,
            detail: last_line(message),
        }
    }

    fn name(&self) -> String {
        self.python.display().to_string()
    }
}

/// Phrases of pip and its libraries when they cannot reach the index.
const NETWORK_ERRORS: [&str; 9] = [
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionError",
    "ProxyError",
    "SSLError",
    "Max retries exceeded",
    "connection broken",
];

/// Why the index could not be reached, if that is pip's message: the system's reason, else pip's
/// phrase.
fn network_error(message: &str) -> Option<String> {
    let phrase = NETWORK_ERRORS
        .iter()
        .find(|phrase| message.contains(**phrase))?;
    let reason = message
        .split_once("[Errno ")
        .and_then(|(_, rest)| rest.split_once("] "));
    let reason = reason.and_then(|(_, rest)| rest.split(['\'', '"', ')', '\n']).next());
    Some(reason.unwrap_or(phrase).to_owned())
}

fn last_line(message: &str) -> String {
    let mut lines = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let line = lines.next_back().unwrap_or("pip gave no reason");
    line.trim_start_matches("ERROR: ")
        .chars()
        .take(300)
        .collect()
}

fn only_wheel(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEEL: Wheel<'static> = Wheel {
        name: "tiny",
        version: "1.0",
        platform: None,
        sha256: "00",
    };

    /// The error message when `python3` is this shell script.
    fn message_when(script: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let pip = Pip::of(crate::fake::program(folder.path(), "python3", script));
        let target = tempfile::tempdir().unwrap();
        pip.download(&WHEEL, target.path()).unwrap_err().to_string()
    }

    #[test]
    fn without_python_the_message_says_how_to_install_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = Pip::of("no-such-python")
            .download(&WHEEL, folder.path())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to fetch tiny==1.0: no `no-such-python` on the path; install Python 3 with pip \
             (Debian, Ubuntu: `apt-get install python3 python3-pip`) and run this again"
        );
    }

    #[test]
    fn without_pip_the_message_says_how_to_install_it() {
        let message = message_when("echo \"$0: No module named pip\" >&2; exit 1");
        assert!(
            message.contains("-m pip` does not exist; install pip"),
            "{message}"
        );
    }

    /// The message of pip 23.2 on a machine without a network.
    #[test]
    fn a_missing_network_is_named_although_pip_ends_with_no_matching_distribution() {
        let message = message_when(
            "cat >&2 <<'END'\n\
             WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...: Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/tiny/\n\
             ERROR: Could not find a version that satisfies the requirement tiny==1.0 (from versions: none)\n\
             ERROR: No matching distribution found for tiny==1.0\nEND\nexit 1",
        );
        assert!(
            message.contains(
                "the network or the package index is out of reach (Temporary failure in name resolution)"
            ),
            "{message}"
        );
    }

    #[test]
    fn an_index_without_the_package_is_named() {
        let message =
            message_when("echo 'ERROR: No matching distribution found for tiny==1.0' >&2; exit 1");
        assert!(
            message.contains("does not offer it; configure one that mirrors PyPI"),
            "{message}"
        );
    }

    #[test]
    fn a_full_disk_is_named() {
        let message = message_when(
            "echo 'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device' >&2; exit 1",
        );
        assert!(
            message.contains("the disk is full; free some room"),
            "{message}"
        );
    }

    #[test]
    fn other_messages_of_pip_are_passed_on() {
        let message = message_when("echo 'ERROR: the moon is in the wrong phase' >&2; exit 2");
        assert_eq!(
            message,
            "failed to fetch tiny==1.0: the moon is in the wrong phase"
        );
    }

    #[test]
    fn a_wheel_with_another_digest_is_refused() {
        // The folder to download into follows `--dest`.
        let message = message_when(
            "while [ \"$1\" != --dest ]; do shift; done; printf abc > \"$2/tiny-1.0-py3-none-any.whl\"",
        );
        assert!(
            message.contains(
                "its SHA-256 is ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, expected 00"
            ),
            "{message}"
        );
    }
}
