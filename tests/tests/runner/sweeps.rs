//! Many trials of one notebook.

use std::collections::HashSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::workbench::{Cell, Said, Workbench, said, text};

/// A notebook that records one row, and fails for `x` of 13.
fn recording() -> Workbench {
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

fn status(bench: &Workbench, folder: &str) -> Value {
    let said = bench.offmodel(&["status", folder, "--json"]).succeeded();
    serde_json::from_str(&said.stdout).unwrap()
}

/// The rows that `offmodel report` reads from `results.parquet`, without the trials' names.
fn rows(bench: &Workbench, folder: &str) -> Vec<String> {
    let said = bench
        .offmodel(&["report", folder, "-o", "report.html"])
        .succeeded();
    said.stdout
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
fn a_sweep_writes_the_folders_of_the_design_and_all_results_in_one_frame() {
    let bench = recording();
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nstyle = [\"a\", \"b\"]\nx = [2, 3]\n",
    );
    let said = bench.offmodel(&["sweep", "s.toml"]).succeeded();
    assert!(
        said.stderr.contains("4 of 4 trials succeeded"),
        "{}",
        said.stderr
    );
    assert!(said.stdout.contains("runs/s/results.parquet"));
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
    // trial, attempt, style (x is the frame's own), x, square
    assert_eq!(
        rows(&bench, "runs/s"),
        ["1 a 2 4", "1 a 3 9", "1 b 2 4", "1 b 3 9"]
    );
    assert!(bench.path("runs/s/other.parquet").is_file());
}

#[test]
fn what_is_done_is_skipped_and_what_failed_is_tried_again() {
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
    let told = status(&bench, "runs/s");
    assert_eq!(
        (&told["succeeded"], &told["failed"], &told["left"]),
        (&1.into(), &1.into(), &0.into())
    );
    assert_eq!(told["trials"][1]["attempts"], 2);
    assert_eq!(rows(&bench, "runs/s"), ["1 plain 12 144"]);
}

#[test]
fn a_longer_grid_runs_only_what_is_new_and_a_changed_notebook_everything() {
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
        longer.contains("1 trials were asked for more than once and are merged"),
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
    // Without a frame of its own, a trial is a row with its parameters.
    assert_eq!(rows(&bench, "runs/s"), ["1 1", "1 2", "1 3"]);
}

#[test]
fn two_hundred_trials_are_processes_of_one_program_that_is_loaded_once() {
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
    let told = status(&bench, "runs/s");
    assert_eq!(told["succeeded"], 200);
    assert_eq!(told["running"], false);
}

#[test]
fn a_trial_that_dies_is_told_with_its_signal_and_the_others_go_on() {
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
    let said = bench.offmodel(&["sweep", "s.toml"]);
    said.failed(1, "cell 2: the program was ended by signal 6 (SIGABRT");
    said.failed(1, "2 of 3 trials succeeded");
}

#[test]
fn a_stopped_sweep_goes_on_where_it_was() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;", &["parameters"]),
            Cell(
                "while x > 0 && !Path::new(\"go\").exists() { sleep(std::time::Duration::from_millis(10))?; }\nx",
                &[],
            ),
        ],
    );
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [0, 1, 2]\n",
    );
    let mut runner = bench
        .command(&["sweep", "s.toml"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(|| {
        let out = bench
            .path("runs/s/sweep.toml")
            .is_file()
            .then(|| status(&bench, "runs/s"));
        out.is_some_and(|told| told["succeeded"] == 1)
    });
    // A second runner on the same sweep is refused while the first one works.
    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(8, "another runner is at work on runs/s");
    assert!(status(&bench, "runs/s")["running"] == true);
    interrupt(runner.id());
    let code = runner.wait().unwrap().code();
    assert_eq!(code, Some(130));
    let told = status(&bench, "runs/s");
    assert_eq!(
        (&told["succeeded"], &told["failed"]),
        (&1.into(), &0.into())
    );
    bench.write("go", "");
    let resumed: Said = said(&bench.command(&["sweep", "s.toml"]).output().unwrap()).succeeded();
    assert!(
        resumed.stderr.contains("1 already done, skipped"),
        "{}",
        resumed.stderr
    );
    assert_eq!(status(&bench, "runs/s")["succeeded"], 3);
}

#[test]
fn a_killed_runner_leaves_no_attempt_behind_and_a_sweep_that_goes_on() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;", &["parameters"]),
            Cell("std::fs::write(format!(\"started-{x}\"), std::process::id().to_string())?;\nif !Path::new(\"go\").exists() { sleep(std::time::Duration::from_secs(60))?; }", &[]),
        ],
    );
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [0, 1]\n",
    );
    let mut runner = bench
        .command(&["sweep", "s.toml"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mark = bench.path("started-0");
    wait_for(|| std::fs::read_to_string(&mark).is_ok_and(|process| !process.is_empty()));
    let process = std::fs::read_to_string(&mark).unwrap();
    runner.kill().unwrap();
    runner.wait().unwrap();
    wait_for(|| !std::path::Path::new("/proc").join(&process).exists());
    bench.write("go", "");
    let resumed = bench.offmodel(&["sweep", "s.toml"]).succeeded().stderr;
    assert!(resumed.contains("did not finish, run again"), "{resumed}");
    assert_eq!(status(&bench, "runs/s")["succeeded"], 2);
}

#[test]
fn a_sweep_goes_on_when_nobody_reads_what_it_says() {
    let bench = recording();
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [1, 2]\n",
    );
    let mut runner = bench
        .command(&["sweep", "s.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // As when a terminal is closed, or behind `| head`.
    drop((runner.stdout.take(), runner.stderr.take()));
    assert!(runner.wait().unwrap().success());
    assert_eq!(status(&bench, "runs/s")["succeeded"], 2);
}

#[test]
fn cells_work_in_the_notebooks_folder_wherever_the_runner_was_started() {
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

#[test]
fn a_report_is_one_page_in_which_nothing_hostile_runs() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: String = String::new();", &["parameters"]),
            Cell("display(&MimeBundle::text(\"<script>alert(1)</script>\").with(\"text/html\", \"<script>alert(2)</script>\"));\ndisplay(&MimeBundle::text(\"figure\").with(\"image/svg+xml\", \"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(3)</script></svg>\"));\ndf!(\"reply\" => [\"<img src=x onerror=alert(4)>\"])?", &[]),
        ],
    );
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [\"<b>bold</b>\"]\n",
    );
    bench.offmodel(&["sweep", "s.toml"]).succeeded();
    bench
        .offmodel(&["report", "runs/s", "-o", "report.html"])
        .succeeded();
    let page = std::fs::read_to_string(bench.path("report.html")).unwrap();
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "text is shown as text"
    );
    assert!(
        page.contains("src=\"data:image/svg+xml;base64,"),
        "figures are images"
    );
    assert!(
        page.contains("&lt;img src=x onerror=alert(4)&gt;"),
        "tables are escaped"
    );
    assert!(page.contains("x=&lt;b&gt;bold&lt;/b&gt;"));
    assert!(page.contains("default-src 'none'"));
    assert!(!page.contains("<script"));
}

/// A notebook whose score depends on seed and, by `shift`, on the night.
fn nightly() -> Workbench {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let data: String = \"on\".to_owned();\nlet seed: i64 = 1;\nlet shift: f64 = 0.0;", &["parameters"]),
            Cell("if data == \"<b>broken</b>\" { Err::<(), _>(\"<img src=x onerror=alert(1)>\")?; }\nlet lost = if data == \"off\" { shift } else { 0.0 };\nlet result = df!(\"level\" => [1i64, 2], \"score\" => [0.9 - lost + 0.01 * seed as f64, 0.5])?;\nrecord(\"result\", &result)?;\nresult", &[]),
        ],
    );
    for (night, shift) in [("2026-03-01", 0.0), ("2026-03-02", 0.25)] {
        bench.write(
            &format!("{night}.toml"),
            &format!("version = 1\nnotebook = \"n.ipynb\"\nname = \"nightly-{{date}}\"\n[parameters]\nshift = {shift:?}\n[grid]\ndata = [\"on\", \"off\", \"<b>broken</b>\"]\nseed = [1, 2, 3]\n"),
        );
        let sweep = format!("{night}.toml");
        bench
            .offmodel(&["sweep", &sweep, "--date", night])
            .failed(1, "6 of 9 trials succeeded");
    }
    bench
}

#[test]
fn two_nights_are_compared_with_intervals_and_in_the_report() {
    let bench = nightly();
    let nights = ["runs/nightly-2026-03-01", "runs/nightly-2026-03-02"];
    // `shift` is another one each night, so that no trial has a partner.
    let apart = bench
        .offmodel(&["compare", nights[0], nights[1]])
        .succeeded();
    assert!(
        apart.stdout.contains("0 pairs of trials"),
        "{}",
        apart.stdout
    );
    // As if the notebook had changed instead.
    let spec = std::fs::read_to_string(bench.path("2026-03-01.toml")).unwrap();
    bench.write("changed.toml", &spec.replace("nightly-{date}", "changed"));
    let cells = std::fs::read_to_string(bench.path("n.ipynb")).unwrap();
    bench.write("n.ipynb", &cells.replace("{ shift }", "{ 0.25 }"));
    bench
        .offmodel(&["sweep", "changed.toml"])
        .failed(1, "6 of 9");
    let said = bench
        .offmodel(&["compare", nights[0], "runs/changed"])
        .succeeded();
    assert!(
        said.stdout
            .contains("9 pairs of trials, by data, seed, shift; 6 of them"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("3 of 12 values differ, in 3 trials"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout
            .contains("10,000 resamples of pairs of trials, that is, seeds")
    );
    let said = bench
        .offmodel(&["compare", nights[0], "runs/changed", "--json"])
        .succeeded();
    let compared: Value = serde_json::from_str(&said.stdout).unwrap();
    let groups = compared["groups"].as_array().unwrap();
    let changed: Vec<&Value> = groups
        .iter()
        .filter(|group| group["change"].as_f64().unwrap().abs() > 1e-9)
        .collect();
    assert_eq!(changed.len(), 1);
    assert_eq!(
        changed[0]["labels"],
        serde_json::json!({"data": "off", "level": "1"})
    );
    assert!((changed[0]["change"].as_f64().unwrap() + 0.25).abs() < 1e-9);
    assert!((changed[0]["interval"][1].as_f64().unwrap() + 0.25).abs() < 1e-9);
    assert!(bench.path("runs/changed/trials.parquet").is_file());

    let arguments = [
        "report",
        "runs/changed",
        "--compare",
        nights[0],
        "-o",
        "report.html",
    ];
    bench.offmodel(&arguments).succeeded();
    let page = std::fs::read_to_string(bench.path("report.html")).unwrap();
    assert!(page.contains("9 trials: 6 succeeded"));
    assert!(page.contains("Compared with nightly-2026-03-01"));
    assert!(page.contains("alt=\"Change of score\""));
    assert!(
        page.contains("&lt;img src=x onerror=alert(1)&gt;"),
        "causes are escaped"
    );
    assert!(page.contains("&lt;b&gt;broken&lt;/b&gt;"));
    for hostile in ["<script", "<img src=x", "<b>broken"] {
        assert!(!page.contains(hostile), "{hostile}");
    }
    if let Some(folder) = std::env::var_os("OFFMODEL_TEST_ARTIFACTS") {
        std::fs::copy(
            bench.path("report.html"),
            std::path::Path::new(&folder).join("report.html"),
        )
        .unwrap();
    }
}

#[test]
fn every_trial_has_a_row_with_its_status_however_it_stands() {
    let bench = recording();
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [12, 13]\n",
    );
    bench.offmodel(&["sweep", "s.toml"]).failed(1, "1 of 2");
    bench.notebook(
        "look.ipynb",
        &["let trials = ParquetReader::new(std::fs::File::open(\"runs/s/trials.parquet\")?).finish()?;\nlet shown = trials.select([\"x\", \"style\", \"attempts\", \"status\", \"cause\"])?;\nlet timed = trials.column(\"seconds\")?.f64()?.iter().all(|seconds| seconds.is_some_and(|seconds| seconds > 0.0));\nformat!(\"{timed} {shown:?}\")"],
    );
    let outputs = bench.outputs_of("look.ipynb");
    let shown = text(&outputs[0][0]);
    assert!(shown.contains("true"), "{shown}");
    assert!(
        shown.contains("succeeded") && shown.contains("failed"),
        "{shown}"
    );
    assert!(shown.contains("cell 2, line 2: ParseIntError"), "{shown}");
    // All of it is made anew from the trials' folders.
    std::fs::remove_file(bench.path("runs/s/trials.parquet")).unwrap();
    std::fs::remove_file(bench.path("runs/s/results.parquet")).unwrap();
    bench
        .offmodel(&["report", "runs/s", "-o", "report.html"])
        .succeeded();
    assert_eq!(bench.outputs_of("look.ipynb").len(), 1);
    assert_eq!(rows(&bench, "runs/s"), ["1 plain 12 144"]);
}

/// Waits for an event. So many looks, and not so much time: who is kept from running does not look.
pub fn wait_for(mut condition: impl FnMut() -> bool) {
    const LOOKS: usize = 1200;
    for _ in 0..LOOKS {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("waited in vain");
}

fn interrupt(process: u32) {
    let sent = std::process::Command::new("kill")
        .args(["-INT", &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}
