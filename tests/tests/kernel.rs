//! The real `offmodel-kernel` under the tools that researchers use: the Jupyter project's own
//! conformance tests, nbclient, `jupyter console`.
//!
//! Needs a Python with `jupyter_client`, `jupyter_kernel_test`, `nbclient` and
//! `jupyter_console`: that of the virtual environment `OFFMODEL_TEST_VENV`, or `python3`.
//! Without one, the tests say so and pass.

#![expect(clippy::expect_used, reason = "a test that cannot go on may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
fn the_kernel_conforms_to_the_protocol() {
    run_script("conformance.py");
}

#[test]
fn a_notebook_runs_through_nbclient_and_keeps_its_outputs() {
    run_script("notebook.py");
}

#[test]
fn interrupt_death_restart_and_end_are_survived() {
    run_script("lifetime.py");
}

#[test]
fn the_doctor_times_a_cell_and_tells_what_is_missing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    assert!(kernel_command("install", &data).status.success());
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let well = kernel_command("doctor", &data);
    assert!(said(&well).contains("ok    kernelspec"), "{}", said(&well));
    assert!(
        said(&well).contains("ok    cell        ready after"),
        "{}",
        said(&well)
    );
    assert!(kernel_command("uninstall", &data).status.success());
    let ill = kernel_command("doctor", &data);
    assert_eq!(ill.status.code(), Some(1));
    let line = said(&ill)
        .lines()
        .find(|line| line.starts_with("FAIL"))
        .map(str::to_owned);
    let line = line.expect("a line of what is wrong");
    assert!(
        line.contains("kernelspec") && line.contains("offmodel kernel install"),
        "{line}"
    );
}

/// Runs a script of unit tests with the kernel installed in a data folder of its own.
fn run_script(name: &str) {
    let Some(python) = python() else {
        println!(
            "skipped: no Python with Jupyter's tools; set OFFMODEL_TEST_VENV to a virtual environment that has them"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    assert!(kernel_command("install", &data).status.success());
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("jupyter")
        .join(name);
    let output = Command::new(&python)
        .arg("-Wignore")
        .arg(script)
        .env("JUPYTER_DATA_DIR", folder.path().join("data"))
        .env("JUPYTER_RUNTIME_DIR", folder.path().join("runtime"))
        .env("JUPYTER_CONFIG_DIR", folder.path().join("config"))
        .env("IPYTHONDIR", folder.path().join("ipython"))
        .output()
        .expect("Python starts");
    let told = String::from_utf8_lossy(&output.stderr);
    println!("{}\n{told}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{name} failed:\n{told}");
    // unittest ends well also when it has found nothing to run.
    assert!(!told.contains("Ran 0 tests"), "{name} ran no tests");
}

/// Runs `offmodel kernel COMMAND` with Jupyter's data in `data`.
fn kernel_command(command: &str, data: &Path) -> Output {
    Command::new(program("offmodel"))
        .args(["kernel", command])
        .env("JUPYTER_DATA_DIR", data)
        .output()
        .expect("offmodel starts")
}

/// A program beside the folder that holds this test's own.
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

fn python() -> Option<PathBuf> {
    let candidates = match std::env::var_os("OFFMODEL_TEST_VENV") {
        Some(environment) => vec![PathBuf::from(environment).join("bin/python")],
        None => vec![PathBuf::from("python3")],
    };
    candidates.into_iter().find(|python| {
        Command::new(python)
            .args([
                "-c",
                "import jupyter_client, jupyter_kernel_test, nbclient, jupyter_console",
            ])
            .output()
            .is_ok_and(|output| output.status.success())
    })
}
