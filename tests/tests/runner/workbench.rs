//! A temporary folder with notebooks, in which tests run `offmodel`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

/// The folder of one test.
pub(crate) struct Workbench {
    folder: tempfile::TempDir,
}

/// A code cell, with its tags.
pub(crate) struct Cell(pub(crate) &'static str, pub(crate) &'static [&'static str]);

/// The exit code and the output of a command.
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workbench {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes a notebook of plain code cells.
    pub(crate) fn notebook(&self, name: &str, cells: &[&'static str]) {
        let cells: Vec<Cell> = cells.iter().map(|source| Cell(source, &[])).collect();
        self.tagged_notebook(name, &cells);
    }

    /// Writes a notebook whose cells have tags.
    pub(crate) fn tagged_notebook(&self, name: &str, cells: &[Cell]) {
        let cells: Vec<Value> = cells
            .iter()
            .enumerate()
            .map(|(index, Cell(source, tags))| {
                json!({
                    "cell_type": "code", "id": format!("cell-{index}"), "metadata": {"tags": tags},
                    "source": source, "outputs": [], "execution_count": null,
                })
            })
            .collect();
        let kernel =
            json!({"name": "offmodel", "display_name": "Rust (offmodel)", "language": "rust"});
        let notebook = json!({
            "cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5,
        });
        self.write(name, &notebook.to_string());
    }

    /// Runs `offmodel` in the folder.
    pub(crate) fn offmodel(&self, arguments: &[&str]) -> CommandOutput {
        captured(&self.command(arguments).output().unwrap())
    }

    /// A command of `offmodel` in the folder, not yet started. All tests share a cache of compiled
    /// programs.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder.path()).env(
            "OFFMODEL_CACHE",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs"),
        );
        command
    }

    /// Runs a notebook, which must succeed, and returns the outputs of its code cells.
    pub(crate) fn outputs_of(&self, name: &str) -> Vec<Vec<Value>> {
        let output = self.offmodel(&["run", name, "-o", "out.ipynb"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        self.outputs("out.ipynb")
    }

    /// The outputs of an executed notebook's code cells.
    pub(crate) fn outputs(&self, name: &str) -> Vec<Vec<Value>> {
        let notebook = self.json(name);
        let cells = notebook["cells"].as_array().unwrap();
        cells
            .iter()
            .map(|cell| cell["outputs"].as_array().unwrap().clone())
            .collect()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }

    /// The names of the entries of a folder, sorted.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl CommandOutput {
    /// Asserts the exit code, and that standard error contains a text.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, expected: &str) {
        assert!(
            self.code == code && self.stderr.contains(expected),
            "expected exit code {code} and {expected:?}, got {} and {}",
            self.code,
            self.stderr
        );
    }

    /// Asserts success.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }
}

pub(crate) fn captured(output: &Output) -> CommandOutput {
    CommandOutput {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The plain text of an output: a stream's, or a displayed value's.
pub(crate) fn text(output: &Value) -> String {
    let lines = if output["output_type"] == "stream" {
        &output["text"]
    } else {
        &output["data"]["text/plain"]
    };
    match lines {
        Value::Array(lines) => lines.iter().map(|line| line.as_str().unwrap()).collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

/// `offmodel` beside the folder that holds this test's program.
fn program() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let program = this.ancestors().nth(2).unwrap().join("offmodel");
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build --workspace` first",
        program.display()
    );
    program
}

/// Waits until `condition` holds. Bounded by a number of checks rather than by time: a test that the
/// system does not let run must not fail.
pub(crate) fn wait_for(mut condition: impl FnMut() -> bool) {
    const MAX_CHECKS: usize = 1200;
    for _ in 0..MAX_CHECKS {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the condition did not hold in time");
}
