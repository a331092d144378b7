//! Sweeps: many trials of one notebook.

use std::collections::HashSet;

use crate::waiting_sweep::status;
use crate::workbench::{Cell, Workbench, text};

/// A notebook that records one row, and that fails if `x` is 13.
pub(crate) fn recording() -> Workbench {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;\nlet style: String = \"plain\".to_owned();", &["parameters"]),
            Cell("if x == 13 {\n    let unlucky: i64 = \"x\".parse()?;\n}\nlet frame = df!(\"x\" => [x], \"square\" => [x * x])?;", &[]),
            Cell("record(\"result\", &frame)?;\nrecord(\"other\", &frame)?;", &[]),
        ],
    );
    bench
}

/// The rows of `results.parquet` as `offmodel report` prints them, without the trials' ids.
pub(crate) fn rows(bench: &Workbench, folder: &str) -> Vec<String> {
    let output = bench
        .offmodel(&["report", folder, "-o", "report.html"])
        .succeeded();
    output
        .stdout
        .replace('"', "")
        .lines()
        .filter(|line| {
            line.starts_with(|first: char| first.is_ascii_hexdigit()) && !line.contains("rows ×")
        })
        .map(|line| {
            line.split_whitespace()
                .skip(1)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

#[test]
fn a_sweep_writes_attempts_and_one_table_of_all_results() {
    let bench = recording();
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nstyle = [\"a\", \"b\"]\nx = [2, 3]\n",
    );
    let output = bench.offmodel(&["sweep", "s.toml"]).succeeded();
    assert!(
        output.stderr.contains("4 of 4 trials succeeded"),
        "{}",
        output.stderr
    );
    assert!(output.stdout.contains("runs/s/results.parquet"));
    let trials: Vec<String> = bench
        .names("runs/s")
        .into_iter()
        .filter(|name| name.starts_with("trial-"))
        .collect();
    assert_eq!(trials.len(), 4);
    assert_eq!(
        bench.names(&format!("runs/s/{}/attempt-1", trials[0])),
        [
            "events.jsonl",
            "other.parquet",
            "out.ipynb",
            "result.json",
            "result.parquet",
            "spec.json"
        ]
    );
    let result = bench.json(&format!("runs/s/{}/attempt-1/result.json", trials[0]));
    assert_eq!(result["status"], "succeeded");
    assert!(result["peak_memory"].as_u64().unwrap() > 1 << 20);
    // Columns: attempt, style (`x` comes from the frame), x, square.
    assert_eq!(
        rows(&bench, "runs/s"),
        ["1 a 2 4", "1 a 3 9", "1 b 2 4", "1 b 3 9"]
    );
    assert!(bench.path("runs/s/other.parquet").is_file());
}

#[test]
fn finished_trials_are_skipped_and_failed_ones_run_again() {
    let bench = recording();
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [12, 13]\n",
    );
    let first = bench.offmodel(&["sweep", "s.toml"]);
    first.failed(
        1,
        "out.ipynb, cell 2, line 2: ParseIntError: invalid digit found in string (x=13)",
    );
    first.failed(1, "1 of 2 trials succeeded");
    let plan = bench
        .offmodel(&["sweep", "s.toml", "--dry-run"])
        .succeeded()
        .stdout;
    assert!(
        plan.contains("x=12  skipped: succeeded in attempt 1"),
        "{plan}"
    );
    assert!(
        plan.contains("x=13  runs: failed in attempt 1: cell 2, line 2"),
        "{plan}"
    );
    let second = bench.offmodel(&["sweep", "s.toml"]);
    second.failed(
        1,
        "2 trials (1 already done, skipped; 1 failed before, run again)",
    );
    let document = status(&bench);
    assert_eq!(
        (
            &document["succeeded"],
            &document["failed"],
            &document["left"]
        ),
        (&1.into(), &1.into(), &0.into())
    );
    assert_eq!(document["trials"][1]["attempts"], 2);
    assert_eq!(rows(&bench, "runs/s"), ["1 plain 12 144"]);
}

#[test]
fn a_longer_grid_runs_new_trials_and_a_changed_notebook_all() {
    let bench = recording();
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [1, 2]\n",
    );
    bench.offmodel(&["sweep", "s.toml"]).succeeded();
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [1, 2, 3, 3]\n",
    );
    let longer = bench.offmodel(&["sweep", "s.toml"]).succeeded().stderr;
    assert!(
        longer.contains("1 trials are listed more than once and are merged"),
        "{longer}"
    );
    assert!(
        longer.contains("3 trials (2 already done, skipped)"),
        "{longer}"
    );
    bench.tagged_notebook(
        "n.ipynb",
        &[Cell("let x: i64 = 0;", &["parameters"]), Cell("x + 1", &[])],
    );
    let changed = bench.offmodel(&["sweep", "s.toml"]).succeeded().stderr;
    assert!(
        changed.contains("3 more trials in runs/s belong to another version of the notebook"),
        "{changed}"
    );
    // A trial without a frame gets a row with its parameters.
    assert_eq!(rows(&bench, "runs/s"), ["1 1", "1 2", "1 3"]);
}

#[test]
fn two_hundred_trials_are_forked_from_one_loaded_program() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;", &["parameters"]),
            Cell(
                "println!(\"{} {}\", std::process::id(), std::os::unix::process::parent_id());",
                &[],
            ),
        ],
    );
    let values: Vec<String> = (0..200).map(|x| x.to_string()).collect();
    bench.write(
        "s.toml",
        &format!(
            "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [{}]\n",
            values.join(", ")
        ),
    );
    bench
        .offmodel(&["sweep", "s.toml", "--workers", "2"])
        .succeeded();
    let logs = bench.offmodel(&["logs", "runs/s"]).succeeded().stdout;
    let (trials, parents): (Vec<&str>, HashSet<&str>) = logs
        .lines()
        .filter(|line| !line.starts_with("=="))
        .map(|line| line.split_once(' ').unwrap())
        .unzip();
    assert_eq!((trials.len(), parents.len()), (200, 1), "{parents:?}");
    let document = status(&bench);
    assert_eq!(document["succeeded"], 200);
    assert_eq!(document["running"], false);
}

#[test]
fn a_trial_that_dies_is_reported_with_its_signal_and_the_others_run() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;", &["parameters"]),
            Cell(
                "println!(\"here\");\nif x == 1 { std::process::abort(); }",
                &[],
            ),
        ],
    );
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [0, 1, 2]\n",
    );
    let output = bench.offmodel(&["sweep", "s.toml"]);
    output.failed(1, "cell 2: the program was ended by signal 6 (SIGABRT");
    output.failed(1, "2 of 3 trials succeeded");
}

#[test]
fn cells_run_in_the_notebooks_folder_wherever_the_runner_was_started() {
    let bench = Workbench::new();
    std::fs::create_dir(bench.path("nightly")).unwrap();
    bench.write("nightly/data.txt", "found");
    bench.notebook(
        "nightly/n.ipynb",
        &["std::fs::read_to_string(\"data.txt\")?"],
    );
    bench.write("nightly/s.toml", "version = 1\nnotebook = \"n.ipynb\"\n");
    bench
        .offmodel(&["run", "nightly/n.ipynb", "-o", "out.ipynb"])
        .succeeded();
    assert_eq!(text(&bench.outputs("out.ipynb")[0][0]), "\"found\"");
    bench.offmodel(&["sweep", "nightly/s.toml"]).succeeded();
    assert!(bench.path("runs/s/results.parquet").is_file());
}
