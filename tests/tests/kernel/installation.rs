//! The kernel, installed for Jupyter in a temporary folder, and the Python tools that use it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A kernelspec and Jupyter's other folders, which are removed after the test.
pub(crate) struct Installation {
    folder: tempfile::TempDir,
}

impl Installation {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let installation = Self { folder };
        let output = kernel_command("install", &installation.data());
        assert!(output.status.success(), "{output:?}");
        installation
    }

    /// The data folder, in which Jupyter looks for kernelspecs.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A command that runs a Python script below `tests/`.
    pub(crate) fn script(&self, python: &Path, script: &str) -> Command {
        let mut command = Command::new(python);
        command
            .arg("-Wignore")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .env("JUPYTER_DATA_DIR", self.data())
            .env("JUPYTER_RUNTIME_DIR", self.folder.path().join("runtime"))
            .env("JUPYTER_CONFIG_DIR", self.folder.path().join("config"))
            .env("IPYTHONDIR", self.folder.path().join("ipython"))
            .env("OFFMODEL", program("offmodel"));
        command
    }
}

/// Runs `offmodel kernel COMMAND` with Jupyter's data folder `data`.
pub(crate) fn kernel_command(command: &str, data: &Path) -> Output {
    Command::new(program("offmodel"))
        .args(["kernel", command])
        .env("JUPYTER_DATA_DIR", data)
        .output()
        .expect("offmodel starts")
}

/// A Python that has all of `modules`; none if there is no such Python, and the test is then recorded
/// as skipped.
pub(crate) fn python_with(modules: &str) -> Option<PathBuf> {
    let python = match std::env::var_os("OFFMODEL_TEST_VENV") {
        Some(environment) => PathBuf::from(environment).join("bin/python"),
        None => PathBuf::from("python3"),
    };
    let output = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .output();
    if output.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    offmodel_support::testing::skip(
        "no Jupyter tools (set OFFMODEL_TEST_VENV to a virtual environment that has tests/requirements.txt)",
    );
    None
}

/// A program of the workspace, which Cargo builds into the folder above the test's own.
fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("the path of this program");
    let program = this.ancestors().nth(2).expect("two folders up").join(name);
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build --workspace` first",
        program.display()
    );
    program
}
