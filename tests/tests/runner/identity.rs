//! What makes a trial another one, and what is said about it.

use serde_json::Value;

use crate::workbench::{Cell, Workbench};

/// Trials that read `shared.txt` and the file that their parameter names.
fn reading() -> Workbench {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let file: String = \"a.txt\".into();", &["parameters"]),
            Cell("std::fs::read_to_string(&file)?", &[]),
        ],
    );
    for name in ["a.txt", "b.txt", "shared.txt"] {
        bench.write(name, name);
    }
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\ndata = [\"shared.txt\", { parameter = \"file\" }]\n[grid]\nfile = [\"a.txt\", \"b.txt\"]\n",
    );
    bench
}

fn plan(bench: &Workbench) -> Vec<Value> {
    let said = bench
        .offmodel(&["sweep", "s.toml", "--dry-run", "--json"])
        .succeeded();
    let plan: Value = serde_json::from_str(&said.stdout).unwrap();
    plan["trials"].as_array().unwrap().clone()
}

fn texts(bench: &Workbench) -> Vec<String> {
    plan(bench)
        .iter()
        .map(|trial| trial["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn new_content_of_data_makes_new_trials_and_says_which_data() {
    let bench = reading();
    bench.offmodel(&["sweep", "s.toml"]).succeeded();
    assert!(
        texts(&bench)
            .iter()
            .all(|text| text == "skipped: succeeded in attempt 1")
    );
    bench.write("b.txt", "other");
    let told = texts(&bench);
    assert_eq!(told[0], "skipped: succeeded in attempt 1");
    assert!(
        told[1].starts_with("runs: b.txt changed since trial "),
        "{told:?}"
    );
    let swept = bench.offmodel(&["sweep", "s.toml"]).succeeded().stderr;
    assert!(swept.contains("1 new because b.txt changed"), "{swept}");
    // As it was before: the results are there again.
    bench.write("b.txt", "b.txt");
    bench.write("shared.txt", "shared.txt");
    assert!(
        texts(&bench)
            .iter()
            .all(|text| text == "skipped: succeeded in attempt 1")
    );
    let hashes = bench.json("runs/s/submission.json");
    assert!(hashes["data"]["a.txt"]["hash"].is_string());
}

#[test]
fn data_that_are_missing_or_no_data_are_told_with_their_place() {
    let bench = reading();
    std::fs::remove_file(bench.path("b.txt")).unwrap();
    bench.offmodel(&["sweep", "s.toml"]).failed(
        3,
        "s.toml, line 3, column 23: failed to read data b.txt: No such file",
    );
    let sweep = std::fs::read_to_string(bench.path("s.toml")).unwrap();
    bench.write(
        "s.toml",
        &sweep.replace("parameter = \"file\"", "parameter = \"fil\""),
    );
    bench.offmodel(&["sweep", "s.toml"]).failed(
        3,
        "s.toml, line 3, column 23: parameter `fil` is to be a path, a list of paths or none, found no such parameter",
    );
    assert!(!bench.path("runs").exists());
}

#[test]
fn retries_are_refused_once_the_data_are_not_those_of_the_submission() {
    let bench = reading();
    bench.offmodel(&["sweep", "s.toml"]).succeeded();
    bench.write("shared.txt", "other");
    let trial = plan(&bench)[0]["reason"]["former"]
        .as_str()
        .unwrap()
        .to_owned();
    bench.offmodel(&["retry", "runs/s", &trial]).failed(
        3,
        "shared.txt changed since the sweep was submitted: run `offmodel sweep ",
    );
}

#[test]
fn a_changed_notebook_makes_new_trials_and_says_so() {
    let bench = reading();
    bench.offmodel(&["sweep", "s.toml"]).succeeded();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let file: String = \"a.txt\".into();", &["parameters"]),
            Cell("std::fs::read_to_string(&file)?.len()", &[]),
        ],
    );
    assert!(texts(&bench)[0].starts_with("runs: the notebook changed since trial "));
    let swept = bench.offmodel(&["sweep", "s.toml"]).succeeded().stderr;
    assert!(
        swept.contains("2 new because the notebook changed since it was submitted"),
        "{swept}"
    );
    assert!(
        swept.contains("2 more trials in runs/s belong to another version of the notebook"),
        "{swept}"
    );
}

#[test]
fn results_of_another_program_are_kept_and_told_and_run_again_on_demand() {
    let bench = reading();
    bench.offmodel(&["sweep", "s.toml"]).succeeded();
    // As after a build of another prelude.
    for trial in bench
        .names("runs/s")
        .iter()
        .filter(|name| name.starts_with("trial-"))
    {
        let attempt = format!("runs/s/{trial}/attempt-1");
        for (file, pointer) in [
            ("result.json", "/program"),
            ("spec.json", "/provenance/program"),
            ("spec.json", "/provenance/versions/prelude"),
        ] {
            let mut record = bench.json(&format!("{attempt}/{file}"));
            *record.pointer_mut(pointer).unwrap() = "earlier".into();
            bench.write(&format!("{attempt}/{file}"), &record.to_string());
        }
    }
    assert_eq!(
        texts(&bench)[0],
        "skipped: succeeded in attempt 1, with another prelude (--rerun-changed runs it again)"
    );
    let status = bench.offmodel(&["status", "runs/s"]).succeeded().stdout;
    assert!(
        status.contains("2 results are of another prelude than there is now"),
        "{status}"
    );
    let skipped = bench.offmodel(&["sweep", "s.toml"]).succeeded().stderr;
    assert!(
        skipped.contains("2 of these with another prelude: --rerun-changed runs them again"),
        "{skipped}"
    );
    let rerun = bench
        .offmodel(&["sweep", "s.toml", "--rerun-changed"])
        .succeeded()
        .stderr;
    assert!(
        rerun.contains("2 done with another prelude, run again"),
        "{rerun}"
    );
    assert!(
        texts(&bench)
            .iter()
            .all(|text| text == "skipped: succeeded in attempt 2")
    );
}

#[test]
fn each_trial_has_the_gpus_and_cores_of_its_slot() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;", &["parameters"]),
            Cell("// Not before another one runs beside it, or did.\nstd::fs::write(format!(\"begun-{x}\"), \"\")?;\nwhile (1..=4).filter(|x| Path::new(&format!(\"begun-{x}\")).exists()).count() < 2 { sleep(std::time::Duration::from_millis(10))?; }\nlet status = std::fs::read_to_string(\"/proc/self/status\")?;\nlet cores = status.lines().find_map(|line| line.strip_prefix(\"Cpus_allowed_list:\")).unwrap_or_default().trim().to_owned();\nlet gpus = std::env::var(\"CUDA_VISIBLE_DEVICES\")?;\nlet threads = std::env::var(\"OMP_NUM_THREADS\")?;\nprintln!(\"gpus {gpus}; cores {cores}; threads {threads}\");", &[]),
        ],
    );
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[resources]\ngpus = 1\ncores = 1\npin = true\n[grid]\nx = [1, 2, 3, 4]\n",
    );
    bench
        .offmodel(&["sweep", "s.toml", "--gpus", ""])
        .failed(3, "a trial needs 1 GPUs, this machine has none");
    let sweep = ["sweep", "s.toml", "--gpus", "3,5", "--workers", "4"];
    bench.offmodel(&sweep).succeeded();
    let logs = bench.offmodel(&["logs", "runs/s"]).succeeded().stdout;
    let mut told: Vec<&str> = logs
        .lines()
        .filter(|line| line.starts_with("gpus"))
        .collect();
    told.sort_unstable();
    told.dedup();
    let cores = std::thread::available_parallelism().unwrap().get();
    if cores < 2 {
        offmodel_support::testing::skip_part("no second core to pin a trial to");
        return;
    }
    assert_eq!(
        told.len(),
        2,
        "two trials at once, each with one GPU: {logs}"
    );
    assert!(told[0].starts_with("gpus 3; cores ") && told[0].ends_with("; threads 1"));
    assert!(told[1].starts_with("gpus 5; cores "));
    let core = |line: &str| line.split("; ").nth(1).unwrap().to_owned();
    assert_ne!(core(told[0]), core(told[1]));
    let trial = bench
        .names("runs/s")
        .into_iter()
        .find(|name| name.starts_with("trial-"))
        .unwrap();
    let result = bench.json(&format!("runs/s/{trial}/attempt-1/result.json"));
    assert_eq!(result["gpus"].as_array().unwrap().len(), 1);
}
