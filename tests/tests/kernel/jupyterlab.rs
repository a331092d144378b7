//! Runs the scenarios in `tests/jupyterlab/` in JupyterLab in headless Chromium.
//!
//! They need `jupyterlab`, Chromium, Node.js, and playwright-core in the folder that
//! `OFFMODEL_TEST_NODE` names. Screenshots are in `target/test-artifacts/jupyterlab/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::installation::{Installation, python_with};

#[test]
fn the_toolbar_interrupts_and_restarts_and_the_editor_completes_and_inspects() {
    run_scenario("buttons");
}

#[test]
fn first_light_shows_its_table_its_figure_and_a_moving_progress_bar() {
    run_scenario("first_light");
}

#[test]
fn the_executed_notebook_of_a_trial_opens_with_its_outputs_in_place() {
    run_scenario("executed");
}

fn run_scenario(scenario: &str) {
    let Some(python) = python_with("jupyterlab, nbformat") else {
        return;
    };
    if let Some(missing) = missing_browser_tool() {
        offmodel_support::testing::skip(missing);
        return;
    }
    let installation = Installation::new();
    let output = installation
        .script(&python, "jupyterlab/lab.py")
        .arg(format!("{scenario}.mjs"))
        .arg(artifacts().join(scenario))
        .output()
        .expect("Python starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    println!("{stdout}");
    assert!(
        output.status.success(),
        "{scenario} failed: {stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The first tool that the scenarios need and this machine lacks, if any.
fn missing_browser_tool() -> Option<&'static str> {
    let chromium = std::env::var_os("OFFMODEL_TEST_CHROMIUM")
        .map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
    if !chromium.is_file() {
        return Some("no Chromium (install chromium, or set OFFMODEL_TEST_CHROMIUM)");
    }
    if Command::new("node").arg("--version").output().is_err() {
        return Some("no Node.js (install nodejs)");
    }
    let playwright = std::env::var_os("OFFMODEL_TEST_NODE")
        .map(|folder| Path::new(&folder).join("node_modules/playwright-core"));
    if !playwright.is_some_and(|folder| folder.is_dir()) {
        return Some(
            "no playwright-core (run `npm ci` with tests/jupyterlab/package-lock.json in a folder and set OFFMODEL_TEST_NODE to it)",
        );
    }
    None
}

/// The folder `test-artifacts/jupyterlab` in the target folder.
fn artifacts() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the folder for temporary files lies in the target folder");
    target.join("test-artifacts/jupyterlab")
}
