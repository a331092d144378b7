//! Sweeps that run on a schedule, with the real clock.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::workbench::{Cell, CommandOutput, Workbench, wait_for};

/// A notebook that fails for `x` of 13 and, if `waits` is set, waits for the file `go`; and a sweep of
/// it.
fn bench() -> Workbench {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;\nlet waits: bool = false;", &["parameters"]),
            Cell("if x == 13 {\n    let unlucky: i64 = \"x\".parse()?;\n}\nwhile waits && x > 1 && !Path::new(\"go\").exists() { sleep(std::time::Duration::from_millis(10))?; }\nx", &[]),
        ],
    );
    bench.write(
        "nightly.toml",
        "version = 1\nnotebook = \"n.ipynb\"\nname = \"nightly-{date}\"\n[grid]\nx = [1, 2]\n",
    );
    bench
}

fn schedule(bench: &Workbench, arguments: &[&str]) -> CommandOutput {
    let mut all = vec!["schedule", arguments[0], "--state", "state"];
    all.extend(&arguments[1..]);
    bench.offmodel(&all)
}

fn json(bench: &Workbench, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.push("--json");
    serde_json::from_str(&schedule(bench, &all).succeeded().stdout).unwrap()
}

/// Changes the moment up to which the occurrences of a schedule are decided.
fn decided_until(bench: &Workbench, name: &str, time: &str) {
    let mut table = bench.json("state/schedules.json");
    table["schedules"][name]["settled"] = time.into();
    bench.write("state/schedules.json", &table.to_string());
}

fn history(bench: &Workbench) -> Vec<Value> {
    let list = json(bench, &["list"]);
    list["schedules"][0]["history"].as_array().unwrap().clone()
}

#[test]
fn a_schedule_is_added_shown_replaced_and_removed() {
    let bench = bench();
    let output = schedule(
        &bench,
        &[
            "add",
            "nightly.toml",
            "--cron",
            "30 2 * * *",
            "--timezone",
            "Europe/Berlin",
        ],
    )
    .succeeded();
    assert!(
        output.stdout.contains("schedule nightly: next at "),
        "{}",
        output.stdout
    );
    schedule(&bench, &["add", "nightly.toml", "--cron", "@hourly"]).failed(
        3,
        "a schedule `nightly` exists already; use `--replace` to replace it",
    );
    let added = json(
        &bench,
        &[
            "add",
            "nightly.toml",
            "--cron",
            "@hourly",
            "--timezone",
            "UTC",
            "--replace",
        ],
    );
    assert_eq!(added["schedule"]["cron"], "@hourly");
    let next = json(&bench, &["next", "nightly", "--count", "3"]);
    let times: Vec<&str> = next["occurrences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|occurrence| occurrence["utc"].as_str().unwrap())
        .collect();
    assert_eq!(times.len(), 3);
    assert!(times.iter().all(|time| time.ends_with(":00:00Z")));
    assert!(times.is_sorted());
    schedule(&bench, &["next", "nigthly"])
        .failed(3, "there is no schedule `nigthly`; did you mean `nightly`?");
    let units = schedule(&bench, &["units", "nightly"]).succeeded().stdout;
    assert!(units.contains("OnCalendar=*-*-* *:00:00 UTC"), "{units}");
    schedule(&bench, &["units", "--output", "systemd"]).succeeded();
    assert_eq!(
        bench.names("systemd"),
        ["offmodel-nightly.service", "offmodel-nightly.timer"]
    );
    schedule(&bench, &["remove", "nightly"]).succeeded();
    assert_eq!(
        json(&bench, &["list"])["schedules"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn mistakes_are_reported_when_a_schedule_is_added() {
    let bench = bench();
    let add = |arguments: &[&str]| {
        let mut all = vec!["add"];
        all.extend(arguments);
        schedule(&bench, &all)
    };
    add(&["nightly.toml", "--cron", "30 25 * * *"]).failed(3, "is not a cron expression");
    add(&["nightly.toml", "--cron", "0 0 30 2 *"]).failed(3, "never occurs");
    add(&[
        "nightly.toml",
        "--cron",
        "@daily",
        "--timezone",
        "Europe/Pari",
    ])
    .failed(3, "did you mean `Europe/Paris`?");
    add(&["missing.toml", "--cron", "@daily"]).failed(3, "failed to read sweep file missing.toml");
    bench.write(
        "wrong.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\ny = [1]\n",
    );
    add(&["wrong.toml", "--cron", "@daily"]).failed(3, "the notebook has no parameter `y`");
    add(&["nightly.toml", "--cron", "@daily", "--", "--worker", "2"])
        .failed(3, "`offmodel sweep` does not take these arguments");
    add(&["nightly.toml", "--cron", "@daily", "--name", "../x"])
        .failed(3, "cannot be the name of a schedule");
    assert!(!bench.path("state/schedules.json").exists());
}

#[test]
fn a_tick_after_missed_nights_runs_one_sweep_and_a_second_tick_none() {
    let bench = bench();
    schedule(
        &bench,
        &[
            "add",
            "nightly.toml",
            "--cron",
            "30 2 * * *",
            "--timezone",
            "UTC",
        ],
    )
    .succeeded();
    let before = schedule(&bench, &["tick"]).succeeded();
    assert_eq!(before.stdout, "", "nothing is due yet");
    decided_until(&bench, "nightly", "2026-03-01T12:00:00Z");
    let text = schedule(&bench, &["tick"]).succeeded().stdout;
    assert!(text.contains("missed occurrences do not run"), "{text}");
    let runs = history(&bench);
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["outcome"]["kind"], "succeeded");
    // The sweep's name contains the date of the occurrence.
    let day = &runs[0]["scheduled"].as_str().unwrap()[..10];
    assert!(
        bench
            .path(&format!("runs/nightly-{day}/results.parquet"))
            .is_file()
    );
    let log = std::fs::read_to_string(runs[0]["log"].as_str().unwrap()).unwrap();
    assert!(log.contains("2 of 2 trials succeeded"), "{log}");
    assert_eq!(schedule(&bench, &["tick"]).succeeded().stdout, "");
    assert_eq!(history(&bench).len(), 1);
}

#[test]
fn a_failed_sweep_is_recorded_and_sets_the_exit_code_of_the_tick() {
    let bench = bench();
    bench.write(
        "bad.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [13]\n",
    );
    schedule(
        &bench,
        &["add", "bad.toml", "--cron", "@daily", "--timezone", "UTC"],
    )
    .succeeded();
    decided_until(&bench, "bad", "2026-03-01T12:00:00Z");
    schedule(&bench, &["tick", "--json"]).failed(1, "");
    assert_eq!(history(&bench)[0]["outcome"]["exit_code"], 1);
}

#[test]
fn the_daemon_survives_a_failed_sweep_stops_in_order_and_continues_later() {
    let bench = bench();
    bench.write(
        "a_bad.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [13]\n",
    );
    bench.write(
        "b_long.toml",
        "version = 1\nnotebook = \"n.ipynb\"\nname = \"long-{date}\"\n[parameters]\nwaits = true\n[grid]\nx = [1, 2, 3]\n",
    );
    // Both are due at the same time, so they start in the order of their names.
    for sweep in ["a_bad.toml", "b_long.toml"] {
        schedule(
            &bench,
            &["add", sweep, "--cron", "0 2 * * *", "--timezone", "UTC"],
        )
        .succeeded();
    }
    decided_until(&bench, "a_bad", "2026-03-01T12:00:00Z");
    decided_until(&bench, "b_long", "2026-03-01T12:00:00Z");
    let mut daemon = bench
        .command(&["schedule", "daemon", "--state", "state"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let entry = |name: &str| bench.json("state/schedules.json")["schedules"][name].clone();
    wait_for(|| entry("a_bad")["history"][0]["outcome"]["exit_code"] == 1);
    wait_for(|| entry("b_long")["running"][0]["attempt"] == 1);
    let day = entry("b_long")["running"][0]["scheduled"].as_str().unwrap()[..10].to_owned();
    let succeeded = || {
        let folder = format!("runs/long-{day}");
        bench
            .path(&format!("{folder}/sweep.toml"))
            .is_file()
            .then(|| {
                let output = bench.offmodel(&["status", &folder, "--json"]).succeeded();
                let status: Value = serde_json::from_str(&output.stdout).unwrap();
                status["succeeded"].as_u64().unwrap()
            })
    };
    wait_for(|| succeeded() >= Some(1));
    // A tick while the daemon runs leaves the daemon's run alone.
    schedule(&bench, &["tick"]).succeeded();
    assert_eq!(entry("b_long")["running"].as_array().unwrap().len(), 1);
    terminate(daemon.id());
    assert_eq!(daemon.wait().unwrap().code(), Some(130));
    let stopped = entry("b_long");
    assert_eq!(stopped["history"][0]["outcome"]["kind"], "stopped");
    assert_eq!(stopped["waiting"][0]["begun"], 1);
    let done = succeeded().unwrap();
    assert_eq!(done, 1);
    bench.write("go", "");
    schedule(&bench, &["tick", "--only", "b_long"]).succeeded();
    assert_eq!(succeeded(), Some(3));
    let log =
        std::fs::read_to_string(entry("b_long")["history"][1]["log"].as_str().unwrap()).unwrap();
    assert!(
        log.contains(&format!("{done} already done, skipped")),
        "{log}"
    );
}

fn terminate(process: u32) {
    std::thread::sleep(Duration::from_millis(50));
    let sent = std::process::Command::new("kill")
        .args(["-TERM", &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}
