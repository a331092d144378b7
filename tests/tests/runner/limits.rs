//! Limits of sweeps: time, memory, retries, failures.

use crate::workbench::{Cell, Workbench};

fn bench(cell: &'static str, sweep: &str) -> Workbench {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[Cell("let x: i64 = 0;", &["parameters"]), Cell(cell, &[])],
    );
    bench.write(
        "s.toml",
        &format!("version = 1\nnotebook = \"n.ipynb\"\n{sweep}"),
    );
    bench
}

#[test]
fn a_trial_over_its_time_limit_is_killed_and_the_others_run() {
    let bench = bench(
        "if x == 1 { loop { std::thread::sleep(std::time::Duration::from_secs(1)); } }",
        "timeout = \"3s\"\n[grid]\nx = [0, 1, 2]\n",
    );
    let output = bench.offmodel(&["sweep", "s.toml"]);
    output.failed(1, "took longer than the limit of 3 s (x=1)");
    output.failed(1, "2 of 3 trials succeeded");
}

#[test]
fn a_trial_over_its_memory_limit_is_killed_and_the_error_has_both_sizes() {
    let bench = bench(
        "let held = vec![x as u8; if x == 1 { 600_000_000 } else { 1 }];\nsleep(std::time::Duration::from_secs(if x == 1 { 30 } else { 0 }))?;\nheld.len()",
        "[resources]\nmemory = \"400MB\"\n[grid]\nx = [0, 1]\n",
    );
    let output = bench.offmodel(&["sweep", "s.toml"]);
    output.failed(1, "MB of memory, more than the limit of 400 MB (x=1)");
    output.failed(1, "1 of 2 trials succeeded");
}

#[test]
fn a_crash_is_retried_and_an_error_of_a_cell_is_not() {
    let bench = bench(
        "let again = format!(\"again-{x}\");\nif !Path::new(&again).exists() {\n    std::fs::write(&again, \"\")?;\n    if x == 1 { std::process::abort(); }\n    let _: i64 = \"x\".parse()?;\n}",
        "[retry]\ncrash = 1\n[grid]\nx = [1, 2]\n",
    );
    let output = bench.offmodel(&["sweep", "s.toml"]);
    output.failed(1, "is tried again in 0 s");
    output.failed(1, "1 of 2 trials succeeded");
    let status = bench.offmodel(&["status", "runs/s", "--json"]).succeeded();
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let attempts: Vec<_> = (0..2)
        .map(|trial| {
            (
                &status["trials"][trial]["status"],
                &status["trials"][trial]["attempts"],
            )
        })
        .collect();
    let logs = bench.offmodel(&["logs", "runs/s"]).succeeded().stdout;
    assert!(logs.contains("attempt 2"), "{logs}");
    assert!(logs.contains("ParseIntError: invalid digit"), "{logs}");
    bench
        .offmodel(&["logs", "runs/s", "xyz"])
        .failed(3, "runs/s has no trial `xyz`");
    assert_eq!(
        attempts,
        [
            (&"succeeded".into(), &2.into()),
            (&"failed".into(), &1.into())
        ]
    );
}

#[test]
fn after_max_failures_no_further_trial_starts() {
    let bench = bench(
        "let _: i64 = \"x\".parse()?;",
        "max_failures = 2\nseeds = 3\n[random]\ncount = 100\n[random.draw]\nx = { int = [0, 1000000] }\n",
    );
    // The notebook has no parameter that `seeds` could set.
    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(3, "the notebook has no parameter `seed`");
    let sweep = std::fs::read_to_string(bench.path("s.toml")).unwrap();
    bench.write("s.toml", &sweep.replace("seeds = 3\n", ""));
    let output = bench.offmodel(&["sweep", "s.toml"]);
    output.failed(1, "max_failures reached: ");
    output.failed(1, "0 of 100 trials succeeded");
}
