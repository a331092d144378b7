//! `offmodel retry`, `logs` and `clean`.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use crate::json::normalized;
use crate::waiting_sweep::{json, start, status, wait_until_running, waiting};

#[test]
fn retry_runs_failed_trials_or_the_named_ones() {
    let bench = waiting("[0, 1]");
    bench.write("go", "");
    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(1, "1 of 2 trials succeeded");
    bench.write("mended", "");
    // The notebook as submitted counts, not the current content of the file.
    bench.write("n.ipynb", "{}");
    let retried = bench.offmodel(&["retry", "runs/s"]).succeeded();
    assert!(
        retried
            .stderr
            .contains("1 failed before, run again; 1 not asked for"),
        "{}",
        retried.stderr
    );
    let document = status(&bench);
    let attempts = |document: &Value| {
        [0, 1].map(|trial: usize| document["trials"][trial]["attempts"].as_u64().unwrap())
    };
    assert_eq!(
        (&document["succeeded"], attempts(&document)),
        (&2.into(), [1, 2])
    );
    let named = document["trials"][0]["trial"].as_str().unwrap().to_owned();
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
fn logs_are_followed_until_the_sweep_ends() {
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
fn clean_lists_what_is_not_needed_and_removes_it_with_yes() {
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
    let document = json(&bench.offmodel(&["clean", "runs/s", "--json"]).succeeded());
    insta::assert_snapshot!("clean", normalized(document));
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
    let document = status(&bench);
    assert_eq!(
        (&document["succeeded"], &document["trials"][0]["attempts"]),
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
