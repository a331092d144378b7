//! What a user does with a sweep beside running it: look, stop, try again, tidy up.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::sweeps::wait_for;
use crate::workbench::{Cell, Said, Workbench, said};

/// Trials that wait until the file `go` is there, and then fail for `x` of 1, unless `mended` is.
fn waiting(grid: &str) -> Workbench {
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

fn start(bench: &Workbench, arguments: &[&str]) -> Child {
    bench
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", said.stdout, said.stderr))
}

fn status(bench: &Workbench) -> Value {
    json(&bench.offmodel(&["status", "runs/s", "--json"]).succeeded())
}

fn wait_until_running(bench: &Workbench) {
    wait_for(|| {
        bench.path("runs/s/sweep.toml").is_file()
            && status(bench)["trials"]
                .as_array()
                .unwrap()
                .iter()
                .any(|trial| trial["status"] == "running")
    });
}

/// What differs from run to run, by its shape.
fn settled(mut value: Value) -> String {
    fn settle(value: &mut Value) {
        let Value::Object(fields) = value else {
            if let Value::Array(values) = value {
                values.iter_mut().for_each(settle);
            }
            return;
        };
        for (name, value) in fields {
            let shape = match name.as_str() {
                "trial" | "former" | "program" => "HASH",
                "seconds" | "mean_seconds" => "SECONDS",
                "started" | "ended" | "since" => "TIME",
                "bytes" | "peak_memory" => "BYTES",
                "cores" => "CORES",
                "process" | "host" | "boot" | "namespace" => "MACHINE",
                _ => {
                    settle(value);
                    if let Value::String(text) = value {
                        *text = without_hashes(text);
                    }
                    continue;
                }
            };
            if !value.is_null() {
                *value = shape.into();
            }
        }
    }
    settle(&mut value);
    serde_json::to_string_pretty(&value).unwrap()
}

/// Names of trials as one word.
fn without_hashes(text: &str) -> String {
    let is_hash = |word: &str| word.len() == 16 && word.chars().all(|c| c.is_ascii_hexdigit());
    let mut told = text.to_owned();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        if is_hash(word) {
            told = told.replace(word, "HASH");
        }
    }
    told
}

#[test]
fn a_plan_a_sweep_and_its_status_have_a_documented_form() {
    let bench = waiting("[0, 1, 1]");
    bench.write("go", "");
    let planned = bench.offmodel(&["sweep", "s.toml", "--dry-run", "--json"]);
    insta::assert_snapshot!("plan", settled(json(&planned.succeeded())));
    assert!(!bench.path("runs").exists(), "a dry run writes nothing");
    let swept = bench.offmodel(&["sweep", "s.toml", "--json"]);
    swept.failed(1, "1 of 2 trials succeeded");
    insta::assert_snapshot!("sweep", settled(json(&swept)));
    insta::assert_snapshot!("status", settled(status(&bench)));
    let again = bench.offmodel(&["retry", "runs/s", "--dry-run", "--json"]);
    insta::assert_snapshot!("retry_plan", settled(json(&again.succeeded())));
    let logs = bench.offmodel(&["logs", "runs/s", "--json"]).succeeded();
    let events: Vec<Value> = logs
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(events.iter().all(|event| event["version"] == 1));
    let streams: Vec<&Value> = events
        .iter()
        .map(|event| &event["event"])
        .filter(|event| event["event"] == "stream")
        .collect();
    assert_eq!(streams.len(), 3, "{}", logs.stdout);
}

#[test]
fn a_run_and_a_report_have_a_documented_form() {
    let bench = waiting("[0, 1]");
    bench.write("go", "");
    // The folder has another name every time.
    let told = |said: &Said| {
        let folder = bench.path("").canonicalize().unwrap();
        let text = said.stdout.replace(folder.to_str().unwrap(), "FOLDER");
        settled(serde_json::from_str(&text).unwrap())
    };
    let run = ["run", "n.ipynb", "-p", "x=5", "-o", "out.ipynb", "--json"];
    insta::assert_snapshot!("run", told(&bench.offmodel(&run).succeeded()));
    // With the cell that shows which values the parameters had.
    assert_eq!(bench.outputs("out.ipynb").len(), 4);
    let failed = bench.offmodel(&["run", "n.ipynb", "-p", "x=1", "--json"]);
    failed.failed(1, "cell 3, line 1: ParseIntError");
    insta::assert_snapshot!("failed_run", told(&failed));
    let broken = bench.offmodel(&["run", "nowhere.ipynb", "--json"]);
    broken.failed(3, "failed to read notebook nowhere.ipynb");
    assert_eq!(broken.stdout, "", "errors are told on standard error alone");

    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(1, "1 of 2 trials succeeded");
    let report = ["report", "runs/s", "--also", "out.ipynb", "--json"];
    let reported = bench.offmodel(&report).succeeded();
    insta::assert_snapshot!("report", told(&reported));
    assert!(bench.path("report.html").is_file());
}

#[test]
fn every_attempt_tells_where_it_came_from() {
    let bench = waiting("[0]");
    bench.write("go", "");
    bench.offmodel(&["sweep", "s.toml"]).succeeded();
    let trial = bench
        .names("runs/s")
        .into_iter()
        .find(|name| name.starts_with("trial-"));
    let attempt = format!("runs/s/{}/attempt-1", trial.unwrap());
    let spec = bench.json(&format!("{attempt}/spec.json"));
    assert_eq!(spec["seeds"]["seed"], 7);
    let provenance = &spec["provenance"];
    for name in [
        "code_hash",
        "program",
        "offmodel",
        "host",
        "device",
        "processor",
    ] {
        assert!(!provenance[name].as_str().unwrap().is_empty(), "{name}");
    }
    let versions = &provenance["versions"];
    assert!(versions["rustc"].as_str().unwrap().starts_with("rustc 1."));
    assert!(versions["libtorch"].as_str().unwrap().starts_with("2.11."));
    assert_eq!(versions["prelude"].as_str().unwrap().len(), 16);
    let result = bench.json(&format!("{attempt}/result.json"));
    assert_eq!(result["program"], provenance["program"]);
    assert!(result["started"].as_str().unwrap() <= result["ended"].as_str().unwrap());
}

#[test]
fn retry_runs_what_failed_or_what_is_named() {
    let bench = waiting("[0, 1]");
    bench.write("go", "");
    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(1, "1 of 2 trials succeeded");
    bench.write("mended", "");
    // The notebook as submitted counts, not what became of the file since.
    bench.write("n.ipynb", "{}");
    let retried = bench.offmodel(&["retry", "runs/s"]).succeeded();
    assert!(
        retried
            .stderr
            .contains("1 failed before, run again; 1 not asked for"),
        "{}",
        retried.stderr
    );
    let told = status(&bench);
    let attempts = |told: &Value| {
        [0, 1].map(|trial: usize| told["trials"][trial]["attempts"].as_u64().unwrap())
    };
    assert_eq!((&told["succeeded"], attempts(&told)), (&2.into(), [1, 2]));
    let named = told["trials"][0]["trial"].as_str().unwrap().to_owned();
    let retried = bench.offmodel(&["retry", "runs/s", &named]).succeeded();
    assert!(
        retried.stderr.contains("1 asked for by name"),
        "{}",
        retried.stderr
    );
    assert_eq!(attempts(&status(&bench)), [2, 2]);
    bench
        .offmodel(&["retry", "runs/s", "xyz"])
        .failed(3, "runs/s has no trial `xyz`");
}

#[test]
fn cancel_stops_the_runner_and_leaves_a_sweep_that_goes_on() {
    let bench = waiting("[0, 2]");
    let nobody = bench
        .offmodel(&["sweep", "s.toml", "--dry-run"])
        .succeeded();
    assert!(nobody.stdout.contains("runs: new"));
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    let cancelled = bench.offmodel(&["cancel", "runs/s", "--json"]).succeeded();
    assert_eq!(runner.wait().unwrap().code(), Some(130));
    let mut told = json(&cancelled);
    assert_eq!(told["runner"]["process"], runner.id());
    assert_eq!((&told["left"], &told["failed"]), (&2.into(), &0.into()));
    told["runner"]["workers"] = 1.into();
    insta::assert_snapshot!("cancel", settled(told));
    let again = bench.offmodel(&["cancel", "runs/s"]).succeeded();
    assert!(
        again.stdout.contains("no runner is at work"),
        "{}",
        again.stdout
    );
    bench.write("go", "");
    let resumed = bench.offmodel(&["sweep", "s.toml"]).succeeded();
    assert!(
        resumed.stderr.contains("1 did not finish, run again"),
        "{}",
        resumed.stderr
    );
    assert_eq!(status(&bench)["succeeded"], 2);
}

/// `status` of the trials, in their order.
fn statuses(bench: &Workbench) -> Vec<String> {
    let told = status(bench);
    let trials = told["trials"].as_array().unwrap();
    trials
        .iter()
        .map(|trial| trial["status"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn trials_are_cancelled_alone_whether_they_run_or_wait() {
    let bench = waiting("[0, 2, 3, 4]");
    let runner = bench
        .command(&["sweep", "s.toml", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until_running(&bench);
    let waits = bench
        .offmodel(&["cancel", "runs/s", "-p", "x=3", "--json"])
        .succeeded();
    let told = json(&waits);
    assert_eq!(told["runner"]["process"], runner.id());
    assert_eq!(told["trials"].as_array().unwrap().len(), 1);
    assert_eq!(told["trials"][0]["status"], "cancelled");
    assert_eq!(told["trials"][0]["parameters"]["x"], 3);
    // The folders of the next ones are prepared while the first one runs.
    let is_done = |status: &String| status == "cancelled" || status == "running";
    let mut told = statuses(&bench);
    told.retain(is_done);
    assert_eq!(told, ["running", "cancelled"]);

    let first = status(&bench)["trials"][0]["trial"]
        .as_str()
        .unwrap()
        .to_owned();
    let runs = bench.offmodel(&["cancel", "runs/s", &first]).succeeded();
    assert_eq!(runs.stdout, format!("trial {first}  cancelled (x=0)\n"));
    let shown = bench.offmodel(&["logs", "runs/s", &first]).succeeded();
    assert!(
        shown.stdout.contains("begun 0\nInterrupted: "),
        "{}",
        shown.stdout
    );
    bench.write("go", "");
    let ended = said(&runner.wait_with_output().unwrap()).succeeded();
    let told = json(&ended);
    assert_eq!(
        (&told["succeeded"], &told["cancelled"], &told["left"]),
        (&2.into(), &2.into(), &0.into())
    );
    assert!(
        ended
            .stderr
            .contains(&format!("trial {first} was cancelled in attempt 1 (x=0)")),
        "{}",
        ended.stderr
    );
    assert!(!bench.path("runs/s/cancel").exists());

    let over = bench
        .offmodel(&["cancel", "runs/s", "-p", "x=2"])
        .succeeded();
    assert!(
        over.stdout.contains("was over already: succeeded (x=2)"),
        "{}",
        over.stdout
    );
    let again = bench.offmodel(&["sweep", "s.toml"]).succeeded().stderr;
    assert!(again.contains("2 cancelled, skipped"), "{again}");
    let failed_ones = bench.offmodel(&["retry", "runs/s"]).succeeded().stderr;
    assert!(
        failed_ones.contains("2 cancelled, skipped"),
        "{failed_ones}"
    );
    let named = bench
        .offmodel(&["retry", "runs/s", "-p", "x=3"])
        .succeeded();
    assert!(
        named
            .stderr
            .contains("1 cancelled before and asked for by name, run again"),
        "{}",
        named.stderr
    );
    assert_eq!(
        statuses(&bench),
        ["cancelled", "succeeded", "succeeded", "succeeded"]
    );
    for (arguments, wrong) in [
        (["-p", "x=77"], "runs/s has no trial `x=77`"),
        (["-p", "y=1"], "the notebook has no parameter `y`"),
        (["-p", "x=much"], "parameter `x`"),
    ] {
        let command = [&["cancel", "runs/s"][..], &arguments].concat();
        bench.offmodel(&command).failed(3, wrong);
    }
}

#[test]
fn a_trial_that_does_not_listen_is_ended_and_recorded_as_cancelled() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;", &["parameters"]),
            Cell(
                "if x == 1 { std::thread::sleep(std::time::Duration::from_secs(600)); }",
                &[],
            ),
        ],
    );
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[retry]\ncrash = 3\n[grid]\nx = [1, 2]\n",
    );
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    let cancelled = bench
        .offmodel(&["cancel", "runs/s", "-p", "x=1"])
        .succeeded();
    assert!(
        cancelled.stdout.contains("cancelled (x=1)"),
        "{}",
        cancelled.stdout
    );
    assert_eq!(runner.wait().unwrap().code(), Some(0));
    assert_eq!(statuses(&bench), ["cancelled", "succeeded"]);
    assert_eq!(status(&bench)["trials"][0]["attempts"], 1);
}

#[test]
fn trials_are_cancelled_where_no_runner_is_at_work() {
    let bench = waiting("[0, 2, 3]");
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    runner.kill().unwrap();
    runner.wait().unwrap();
    for x in ["x=0", "x=2"] {
        let said = bench.offmodel(&["cancel", "runs/s", "-p", x]).succeeded();
        assert!(said.stdout.contains("  cancelled ("), "{}", said.stdout);
    }
    assert_eq!(statuses(&bench)[..2], ["cancelled", "cancelled"]);
    assert_eq!(status(&bench)["left"], 1);
    bench.write("go", "");
    let went_on = bench.offmodel(&["sweep", "s.toml"]).succeeded();
    assert!(
        went_on.stderr.contains("2 cancelled, skipped"),
        "{}",
        went_on.stderr
    );
    assert_eq!(statuses(&bench), ["cancelled", "cancelled", "succeeded"]);
    let text = bench.offmodel(&["status", "runs/s"]).succeeded().stdout;
    assert!(
        text.contains("1 succeeded, 0 failed, 2 cancelled, 0 left"),
        "{text}"
    );
    // Its first attempt never began: the next one is the second all the same.
    bench
        .offmodel(&["retry", "runs/s", "-p", "x=2"])
        .succeeded();
    assert_eq!(status(&bench)["trials"][1]["result"]["attempt"], 2);
}

#[test]
fn logs_are_followed_to_the_end_of_the_sweep() {
    let bench = waiting("[0, 2]");
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    let mut follower = start(&bench, &["logs", "-f", "runs/s"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("begun 0\n") {
        assert!(lines.read_line(&mut text).unwrap() > 0, "it ended: {text}");
    }
    bench.write("go", "");
    assert!(runner.wait().unwrap().success());
    lines.read_to_string(&mut text).unwrap();
    assert!(follower.wait().unwrap().success());
    for line in ["begun 0\n", "ended 0\n", "begun 2\n", "ended 2\n"] {
        assert_eq!(text.matches(line).count(), 1, "{text}");
    }
    assert_eq!(text.matches("== trial").count(), 2, "{text}");
}

#[test]
fn clean_says_what_it_would_remove_and_removes_it_only_when_told_to() {
    let bench = waiting("[0, 1]");
    bench.write("go", "");
    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(1, "1 of 2 trials succeeded");
    bench.write("mended", "");
    bench.offmodel(&["retry", "runs/s"]).succeeded();
    let sweep = std::fs::read_to_string(bench.path("s.toml")).unwrap();
    bench.write("s.toml", &sweep.replace("[0, 1]", "[1]"));
    bench.offmodel(&["sweep", "s.toml"]).succeeded();
    bench.write("runs/s/.offmodel-left", "half");
    let told = json(&bench.offmodel(&["clean", "runs/s", "--json"]).succeeded());
    insta::assert_snapshot!("clean", settled(told));
    let before = bench.names("runs/s").len();
    let removed = bench.offmodel(&["clean", "runs/s", "--yes"]).succeeded();
    assert!(
        removed.stdout.contains("removed 3 entries"),
        "{}",
        removed.stdout
    );
    assert_eq!(bench.names("runs/s").len(), before - 2);
    let after = bench.offmodel(&["clean", "runs/s"]).succeeded();
    assert_eq!(after.stdout, "nothing to remove\n");
    let told = status(&bench);
    assert_eq!(
        (&told["succeeded"], &told["trials"][0]["attempts"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn nothing_is_cleaned_while_a_runner_is_at_work() {
    let bench = waiting("[0]");
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    bench.offmodel(&["clean", "runs/s", "--yes"]).failed(
        8,
        &format!(
            "another runner is at work on runs/s (process {} on",
            runner.id()
        ),
    );
    bench.offmodel(&["cancel", "runs/s", "--now"]).succeeded();
    assert_eq!(runner.wait().unwrap().code(), Some(130));
}

#[test]
fn two_runners_started_at_once_do_not_run_a_trial_twice() {
    let bench = waiting("[0, 2, 3]");
    // Compiled before, so that both arrive at the folder at the same time.
    bench.write("go", "");
    bench
        .offmodel(&["sweep", "s.toml", "--runs", "other"])
        .succeeded();
    std::fs::remove_file(bench.path("go")).unwrap();
    let mut runners: Vec<Child> = (0..4)
        .map(|_| start(&bench, &["sweep", "s.toml"]))
        .collect();
    wait_for(|| {
        let ended = runners
            .iter_mut()
            .filter_map(|runner| runner.try_wait().unwrap());
        ended
            .map(|status| status.code())
            .eq([Some(8), Some(8), Some(8)])
    });
    bench.write("go", "");
    let codes: Vec<_> = runners
        .iter_mut()
        .map(|runner| runner.wait().unwrap().code())
        .collect();
    assert_eq!(
        codes.iter().filter(|code| **code == Some(0)).count(),
        1,
        "{codes:?}"
    );
    let told = status(&bench);
    assert_eq!(told["succeeded"], 3);
    for trial in told["trials"].as_array().unwrap() {
        assert_eq!(trial["attempts"], 1);
    }
}

#[test]
fn the_record_of_a_killed_runner_is_told_and_another_machines_is_respected() {
    let bench = waiting("[0]");
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    let mut record = bench.json("runs/s/runner.json");
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert!(bench.path("runs/s/runner.json").is_file());
    assert_eq!(status(&bench)["running"], false);
    bench.write("go", "");
    let resumed = bench.offmodel(&["sweep", "s.toml"]).succeeded().stderr;
    assert!(
        resumed.contains(&format!(
            "the runner before this one (process {} on ",
            runner.id()
        )),
        "{resumed}"
    );
    record["host"] = "elsewhere".into();
    record["boot"] = "of another machine".into();
    bench.write("runs/s/runner.json", &record.to_string());
    for command in [&["sweep", "s.toml"][..], &["clean", "runs/s", "--yes"]] {
        bench.offmodel(command).failed(
            8,
            &format!(
                "another runner is at work on runs/s (process {} on elsewhere, since ",
                runner.id()
            ),
        );
    }
    bench
        .offmodel(&["cancel", "runs/s"])
        .failed(8, "out of reach from here: run `offmodel cancel` there");
    assert_eq!(status(&bench)["runner"]["host"], "elsewhere");
}

#[test]
fn a_sweep_outlives_the_process_that_starts_its_trials() {
    let bench = waiting("[0, 2]");
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    // The server may have been started by another thread of the runner.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", runner.id())).unwrap();
    let servers: Vec<String> = tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(servers.len(), 1);
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &servers[0]])
        .status();
    assert!(killed.unwrap().success());
    bench.write("go", "");
    assert_eq!(runner.wait().unwrap().code(), Some(0));
    let told = status(&bench);
    assert_eq!(told["succeeded"], 2);
    assert_eq!(told["trials"][0]["attempts"], 2);
}

#[test]
fn a_closed_terminal_stops_a_sweep_unless_it_was_started_to_outlive_it() {
    let hang_up = |runner: &Child| {
        let process = runner.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-HUP", &process])
            .status();
        assert!(sent.unwrap().success());
    };
    let bench = waiting("[0]");
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    hang_up(&runner);
    assert_eq!(runner.wait().unwrap().code(), Some(130));
    let command = bench.command(&["sweep", "s.toml"]);
    let program = command.get_program().to_owned();
    // `nohup` without its redirections.
    let mut ignoring = std::process::Command::new("sh");
    ignoring
        .args(["-c", "trap '' HUP; exec \"$0\" sweep s.toml"])
        .arg(program)
        .current_dir(bench.path("."))
        .stderr(Stdio::null())
        .stdout(Stdio::null());
    for (name, value) in command.get_envs() {
        ignoring.env(name, value.unwrap());
    }
    let mut runner = ignoring.spawn().unwrap();
    wait_until_running(&bench);
    hang_up(&runner);
    std::thread::sleep(Duration::from_millis(300));
    bench.write("go", "");
    assert_eq!(runner.wait().unwrap().code(), Some(0));
}
