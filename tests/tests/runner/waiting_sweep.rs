//! A sweep whose trials wait until the test lets them end.

use std::process::{Child, Stdio};

use serde_json::Value;

use crate::workbench::{Cell, CommandOutput, Workbench, wait_for};

/// A sweep whose trials wait until the file `go` exists. Then the trial with `x` of 1 fails, unless
/// the file `mended` exists.
pub(crate) fn waiting(grid: &str) -> Workbench {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;\nlet seed: u64 = 7;", &["parameters"]),
            Cell(
                "println!(\"begun {x}\");\nwhile !Path::new(\"go\").exists() { sleep(std::time::Duration::from_millis(10))?; }",
                &[],
            ),
            Cell("if x == 1 && !Path::new(\"mended\").exists() { let _: i64 = \"x\".parse()?; }\nprintln!(\"ended {x}\");", &[]),
        ],
    );
    bench.write(
        "s.toml",
        &format!("version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = {grid}\n"),
    );
    bench
}

/// Starts `offmodel` without waiting for it.
pub(crate) fn start(bench: &Workbench, arguments: &[&str]) -> Child {
    bench
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The JSON document that a command printed.
pub(crate) fn json(output: &CommandOutput) -> Value {
    serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", output.stdout, output.stderr))
}

/// The document of `offmodel status`.
pub(crate) fn status(bench: &Workbench) -> Value {
    json(&bench.offmodel(&["status", "runs/s", "--json"]).succeeded())
}

/// The statuses of the trials, in their order.
pub(crate) fn statuses(bench: &Workbench) -> Vec<String> {
    let document = status(bench);
    let trials = document["trials"].as_array().unwrap();
    trials
        .iter()
        .map(|trial| trial["status"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until a trial runs.
pub(crate) fn wait_until_running(bench: &Workbench) {
    wait_for(|| {
        bench.path("runs/s/sweep.toml").is_file()
            && status(bench)["trials"]
                .as_array()
                .unwrap()
                .iter()
                .any(|trial| trial["status"] == "running")
    });
}
