//! `offmodel cancel`, of sweeps and of single trials.

use std::process::Stdio;

use crate::json::normalized;
use crate::waiting_sweep::{json, start, status, statuses, wait_until_running, waiting};
use crate::workbench::{Cell, Workbench, captured};

#[test]
fn cancel_stops_the_runner_and_the_sweep_can_be_continued() {
    let bench = waiting("[0, 2]");
    let nobody = bench
        .offmodel(&["sweep", "s.toml", "--dry-run"])
        .succeeded();
    assert!(nobody.stdout.contains("runs: new"));
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    let cancelled = bench.offmodel(&["cancel", "runs/s", "--json"]).succeeded();
    assert_eq!(runner.wait().unwrap().code(), Some(130));
    let mut document = json(&cancelled);
    assert_eq!(document["runner"]["process"], runner.id());
    assert_eq!(
        (&document["left"], &document["failed"]),
        (&2.into(), &0.into())
    );
    document["runner"]["workers"] = 1.into();
    insta::assert_snapshot!("cancel", normalized(document));
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

#[test]
fn single_trials_are_cancelled_whether_they_run_or_wait() {
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
    let document = json(&waits);
    assert_eq!(document["runner"]["process"], runner.id());
    assert_eq!(document["trials"].as_array().unwrap().len(), 1);
    assert_eq!(document["trials"][0]["status"], "cancelled");
    assert_eq!(document["trials"][0]["parameters"]["x"], 3);
    // Trials whose folders are prepared ahead have no settled status yet.
    let is_done = |status: &String| status == "cancelled" || status == "running";
    let mut document = statuses(&bench);
    document.retain(is_done);
    assert_eq!(document, ["running", "cancelled"]);

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
    let ended = captured(&runner.wait_with_output().unwrap()).succeeded();
    let document = json(&ended);
    assert_eq!(
        (
            &document["succeeded"],
            &document["cancelled"],
            &document["left"]
        ),
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
        over.stdout
            .contains("had already finished: succeeded (x=2)"),
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
fn a_trial_that_ignores_the_request_is_killed_and_recorded_as_cancelled() {
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
fn trials_are_cancelled_while_no_runner_is_at_work() {
    let bench = waiting("[0, 2, 3]");
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    runner.kill().unwrap();
    runner.wait().unwrap();
    for x in ["x=0", "x=2"] {
        let output = bench.offmodel(&["cancel", "runs/s", "-p", x]).succeeded();
        assert!(output.stdout.contains("  cancelled ("), "{}", output.stdout);
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
    // The first attempt never started, but it has a number.
    bench
        .offmodel(&["retry", "runs/s", "-p", "x=2"])
        .succeeded();
    assert_eq!(status(&bench)["trials"][1]["result"]["attempt"], 2);
}
