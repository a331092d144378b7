//! A sweep folder that an earlier version of offmodel wrote, before its code was renamed, is read
//! as that version read it.
//!
//! `tests/fixtures/sweep_recorded` holds the sweep file, its notebook, the folder, and what
//! `offmodel status --json` printed then (commit 77d040c).

use std::path::Path;

use serde_json::Value;

use super::workbench::Workbench;

/// Copies the recorded files into the folder of a test.
fn recorded() -> Workbench {
    let bench = Workbench::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sweep_recorded");
    copy(&fixture, &bench.path(""));
    bench
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_status_of_a_folder_of_the_version_before_is_unchanged() {
    let bench = recorded();
    let output = bench.offmodel(&["status", "runs/recorded", "--json"]);
    let mut status: Value = serde_json::from_str(&output.stdout).unwrap();
    // The prelude is another one than that of the recorded attempts; the program's text is not.
    assert_eq!(status["changed"].take(), Value::from(6));
    for trial in status["trials"].as_array_mut().unwrap() {
        assert_eq!(trial["changed"].take(), Value::from(vec!["prelude"]));
    }
    let mut recorded = bench.json("status.json");
    recorded["changed"].take();
    for trial in recorded["trials"].as_array_mut().unwrap() {
        trial["changed"].take();
    }
    assert_eq!(status, recorded);
}

#[test]
fn its_trials_count_as_done_and_keep_their_names() {
    let bench = recorded();
    let before = bench.names("runs/recorded");
    // The failed trials run, and fail, again; the others are skipped.
    let output = bench.offmodel(&["sweep", "recorded.toml", "--json"]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let status = bench.offmodel(&["status", "runs/recorded", "--json"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(
        (&status["succeeded"], &status["failed"]),
        (&Value::from(4), &Value::from(2))
    );
    let trials = |names: Vec<String>| -> Vec<String> {
        let trials = names.into_iter().filter(|name| name.starts_with("trial-"));
        trials.collect()
    };
    assert_eq!(trials(bench.names("runs/recorded")), trials(before));
    let attempts = bench.names("runs/recorded/trial-72cd77b06bcecc2a");
    assert_eq!(attempts, ["attempt-1"]);
}
