//! The documents that `--json` prints, as snapshots.

use serde_json::Value;

use crate::waiting_sweep::{json, status, waiting};
use crate::workbench::CommandOutput;

/// A document in which everything that differs from run to run is replaced by its kind.
pub(crate) fn normalized(mut value: Value) -> String {
    fn normalize(value: &mut Value) {
        let Value::Object(fields) = value else {
            if let Value::Array(values) = value {
                values.iter_mut().for_each(normalize);
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
                    normalize(value);
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
    normalize(&mut value);
    serde_json::to_string_pretty(&value).unwrap()
}

/// A text in which ids of trials are replaced by `HASH`.
fn without_hashes(text: &str) -> String {
    let is_hash = |word: &str| word.len() == 16 && word.chars().all(|c| c.is_ascii_hexdigit());
    let mut document = text.to_owned();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        if is_hash(word) {
            document = document.replace(word, "HASH");
        }
    }
    document
}

#[test]
fn the_documents_of_a_plan_a_sweep_and_its_status() {
    let bench = waiting("[0, 1, 1]");
    bench.write("go", "");
    let planned = bench.offmodel(&["sweep", "s.toml", "--dry-run", "--json"]);
    insta::assert_snapshot!("plan", normalized(json(&planned.succeeded())));
    assert!(!bench.path("runs").exists(), "a dry run writes nothing");
    let swept = bench.offmodel(&["sweep", "s.toml", "--json"]);
    swept.failed(1, "1 of 2 trials succeeded");
    insta::assert_snapshot!("sweep", normalized(json(&swept)));
    insta::assert_snapshot!("status", normalized(status(&bench)));
    let again = bench.offmodel(&["retry", "runs/s", "--dry-run", "--json"]);
    insta::assert_snapshot!("retry_plan", normalized(json(&again.succeeded())));
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
fn the_documents_of_a_run_and_a_report() {
    let bench = waiting("[0, 1]");
    bench.write("go", "");
    // The temporary folder has another name every time.
    let document = |output: &CommandOutput| {
        let folder = bench.path("").canonicalize().unwrap();
        let text = output.stdout.replace(folder.to_str().unwrap(), "FOLDER");
        normalized(serde_json::from_str(&text).unwrap())
    };
    let run = ["run", "n.ipynb", "-p", "x=5", "-o", "out.ipynb", "--json"];
    insta::assert_snapshot!("run", document(&bench.offmodel(&run).succeeded()));
    // One more than in the notebook: the cell with the overrides.
    assert_eq!(bench.outputs("out.ipynb").len(), 4);
    let failed = bench.offmodel(&["run", "n.ipynb", "-p", "x=1", "--json"]);
    failed.failed(1, "cell 3, line 1: ParseIntError");
    insta::assert_snapshot!("failed_run", document(&failed));
    let broken = bench.offmodel(&["run", "nowhere.ipynb", "--json"]);
    broken.failed(3, "failed to read notebook nowhere.ipynb");
    assert_eq!(broken.stdout, "", "errors go to standard error only");

    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(1, "1 of 2 trials succeeded");
    let report = ["report", "runs/s", "--also", "out.ipynb", "--json"];
    let reported = bench.offmodel(&report).succeeded();
    insta::assert_snapshot!("report", document(&reported));
    assert!(bench.path("report.html").is_file());
}

#[test]
fn every_attempt_records_its_provenance() {
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
