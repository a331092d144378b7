//! A folder with notebooks, and `offmodel` run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A folder of one test.
pub struct Workbench {
    folder: tempfile::TempDir,
}

/// A code cell, with its tags.
pub struct Cell(pub &'static str, pub &'static [&'static str]);

/// What a command said.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Workbench {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes a notebook of plain code cells.
    pub fn notebook(&self, name: &str, cells: &[&'static str]) {
        let cells: Vec<Cell> = cells.iter().map(|source| Cell(source, &[])).collect();
        self.tagged_notebook(name, &cells);
    }

    /// Writes a notebook whose cells have tags.
    pub fn tagged_notebook(&self, name: &str, cells: &[Cell]) {
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
    pub fn offmodel(&self, arguments: &[&str]) -> Said {
        said(&self.command(arguments).output().unwrap())
    }

    /// `offmodel` in the folder, yet to be started. Programs compiled once stay in a cache that
    /// all tests share.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder.path()).env(
            "OFFMODEL_CACHE",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs"),
        );
        command
    }

    /// Runs a notebook that is to succeed, and gives the outputs of its code cells.
    pub fn outputs_of(&self, name: &str) -> Vec<Vec<Value>> {
        let said = self.offmodel(&["run", name, "-o", "out.ipynb"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        self.outputs("out.ipynb")
    }

    /// The outputs of an executed notebook's code cells.
    pub fn outputs(&self, name: &str) -> Vec<Vec<Value>> {
        let notebook = self.json(name);
        let cells = notebook["cells"].as_array().unwrap();
        cells
            .iter()
            .map(|cell| cell["outputs"].as_array().unwrap().clone())
            .collect()
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }

    /// The names in a folder, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Said {
    /// Asserts the exit code and that a text is in the error output.
    #[track_caller]
    pub fn failed(&self, code: i32, expected: &str) {
        assert!(
            self.code == code && self.stderr.contains(expected),
            "expected exit code {code} and {expected:?}, got {} and {}",
            self.code,
            self.stderr
        );
    }

    /// Asserts success.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }
}

pub fn said(output: &Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The plain text of an output: a stream's, or a displayed value's.
pub fn text(output: &Value) -> String {
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
