//! Set-up that is killed during a download, and set-up with downloads or a libtorch that are wrong.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A `python3` that is a shell script, and an empty cache folder.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(python: &str) -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(machine.folder.path().join("bin")).unwrap();
        machine.set_python(python);
        machine
    }

    fn set_python(&self, script: &str) {
        let status = Command::new("sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\" && chmod 755 \"$0\"",
            ])
            .arg(self.folder.path().join("bin/python3"))
            .arg(script)
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn set_up(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offmodel-setup"));
        let mut path = vec![self.folder.path().join("bin")];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        command
            .arg("prepare")
            .env("PATH", std::env::join_paths(path).unwrap());
        command
            .env("OFFMODEL_CACHE", self.cache())
            .env_remove("LIBTORCH");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn entries(&self) -> Vec<String> {
        names(&self.cache())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn error_of(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr)
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned()
}

/// A `python3` without an installed torch, whose pip runs `script` with the folder to download into as
/// `$2`.
fn python_with_pip(script: &str) -> String {
    format!("[ \"$1\" = -m ] || exit 1\nwhile [ \"$1\" != --dest ]; do shift; done\n{script}")
}

#[test]
fn a_set_up_killed_during_a_download_leaves_nothing_that_a_later_one_uses() {
    let machine = Machine::new(&python_with_pip(
        "printf half >\"$2/torch-2.11.0.whl\"; exec sleep 600",
    ));
    let mut running = machine.set_up().process_group(0).spawn().unwrap();
    let started = Instant::now();
    let staging = loop {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "the download did not start"
        );
        let staging = machine
            .entries()
            .into_iter()
            .find(|name| name.starts_with(".staging-"));
        match staging {
            Some(name)
                if machine
                    .cache()
                    .join(&name)
                    .join("torch/torch-2.11.0.whl")
                    .is_file() =>
            {
                break name;
            }
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    // The whole process group, as when the terminal is closed.
    let group = format!("-{}", running.id());
    assert!(
        Command::new("kill")
            .args(["-KILL", "--", &group])
            .status()
            .unwrap()
            .success()
    );
    running.wait().unwrap();
    assert_eq!(machine.entries(), [".lock".to_owned(), staging]);

    machine.set_python(&python_with_pip(
        "echo 'ERROR: No matching distribution found' >&2; exit 1",
    ));
    let output = machine.set_up().output().unwrap();
    assert!(
        error_of(&output).contains("does not offer it"),
        "{output:?}"
    );
    assert_eq!(machine.entries(), [".lock"]);
}

#[test]
fn a_download_with_another_digest_installs_nothing() {
    let machine = Machine::new(&python_with_pip("printf tampered >\"$2/torch-2.11.0.whl\""));
    let output = machine.set_up().output().unwrap();
    let error = error_of(&output);
    assert!(
        error.starts_with("error: failed to check torch==2.11.0: its SHA-256 is "),
        "{error}"
    );
    assert_eq!(machine.entries(), [".lock"]);
}

#[test]
fn a_folder_without_libtorch_in_the_variable_is_named() {
    let machine = Machine::new("exit 1");
    let output = machine
        .set_up()
        .env("LIBTORCH", machine.folder.path())
        .output()
        .unwrap();
    let error = error_of(&output);
    assert!(
        error.contains("there is no lib/libtorch_cpu.so in it"),
        "{error}"
    );
    assert!(
        error.contains("point LIBTORCH to libtorch 2.11.0, or unset it"),
        "{error}"
    );
}

#[test]
fn two_set_ups_at_once_wait_for_each_other() {
    let machine = Machine::new(&python_with_pip(
        "sleep 1; printf tampered >\"$2/torch-2.11.0.whl\"",
    ));
    let first = machine.set_up().spawn().unwrap();
    let second = machine.set_up().spawn().unwrap();
    let (first, second) = (
        first.wait_with_output().unwrap(),
        second.wait_with_output().unwrap(),
    );
    // Both reach the checksum, so neither removed the other's unfinished download.
    for output in [&first, &second] {
        assert!(error_of(output).contains("its SHA-256 is"), "{output:?}");
    }
    let waited = [&first, &second].map(|output| {
        String::from_utf8_lossy(&output.stderr).contains("waiting for another set-up")
    });
    assert_ne!(waited[0], waited[1]);
}
