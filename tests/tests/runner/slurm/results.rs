//! What a sweep's results say, and what its trials get of the cluster.

use super::cluster::Cluster;
use super::sweep::{Sweep, wait_for};

#[test]
fn results_are_those_of_the_local_executor() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[grid]\nx = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\n",
    );
    // A path with the characters that batch scripts must quote.
    let folder = "100% my 'runs'";
    let slurm = sweep.offmodel(&["sweep", "s.toml", "--slurm", "--runs", folder]);
    let slurm = slurm.succeeded();
    assert!(
        slurm.stderr.contains("12 of 12 trials succeeded"),
        "{}",
        slurm.stderr
    );
    assert_eq!(sweep.started().len(), 12);
    sweep.offmodel(&["sweep", "s.toml"]).succeeded();
    let here = table(&sweep, "runs/s");
    assert!(here.contains("144"), "{here}");
    assert_eq!(table(&sweep, &format!("{folder}/s")), here);
    let logs = sweep
        .offmodel(&["logs", &format!("{folder}/s")])
        .succeeded();
    assert!(logs.stdout.contains("trial 12 is plain"), "{}", logs.stdout);
    // Nothing is left to do, so no job is submitted.
    let again = sweep.offmodel(&["sweep", "s.toml", "--slurm", "--runs", folder]);
    let again = again.succeeded().stderr;
    assert!(again.contains("12 already done, skipped"), "{again}");
    assert!(!again.contains("handed"), "{again}");
}

#[test]
fn failures_have_the_reasons_of_the_local_executor() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "timeout = \"4s\"\n[grid]\nkind = [\"plain\", \"fails\", \"aborts\", \"sleeps\", \"ignores interrupts\"]\n",
    );
    let said = sweep.run();
    said.failed(1, "1 of 5 trials succeeded");
    said.failed(
        1,
        "took longer than the limit of 4 s (kind=ignores interrupts)",
    );
    assert_eq!(
        sweep.outcomes(),
        [
            "succeeded",
            "failed cell",
            "failed signal",
            "failed timeout",
            "failed timeout"
        ]
    );
}

/// Tasks that leave no result: two are cancelled by someone else, and of one `offmodel attempt` itself
/// is killed on the node.
#[test]
fn lost_tasks_fail_with_the_state_that_slurm_reports() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[grid]\nkind = [\"ignores interrupts\"]\nx = [1, 2, 3]\n[retry]\ncrash = 1\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(3);
    let job = sweep.job();
    cluster.run(&format!("scancel {job}_0"));
    cluster.run(&format!("scancel --batch --signal=KILL {job}_1"));
    // The retry of the second task runs in an array of its own.
    sweep.wait_for_starts(4);
    let retry = sweep
        .records()
        .into_iter()
        .find_map(|(_, record)| record["job"].as_u64().filter(|other| *other != job))
        .unwrap();
    cluster.run(&format!("scancel {retry}_0 {job}_2"));
    let said = runner.end();
    said.failed(1, "its job ended without a result: FAILED");
    said.failed(1, "is tried again in 0 s");
    said.failed(1, "0 of 3 trials succeeded");
    assert_eq!(
        sweep.outcomes(),
        ["failed cluster CANCELLED"; 3],
        "{}",
        said.stderr
    );
    assert_eq!(sweep.trials()[1]["attempts"], 2);
}

/// The job has a time limit, the attempt has none of its own.
#[test]
fn a_program_is_interrupted_before_the_time_limit_of_its_job() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[slurm]\ntime = \"1m\"\ncheckpoint = \"30s\"\n[grid]\nkind = [\"sleeps\"]\n",
    );
    let said = sweep.run();
    said.failed(1, "ran into the job's time limit: TIMEOUT, job");
    said.failed(1, "asked to stop before the job's limit");
    assert_eq!(sweep.outcomes(), ["failed cluster TIMEOUT"]);
}

#[test]
fn each_trial_gets_the_gpus_that_it_asks_for() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[resources]\ngpus = 1\ncores = 1\nmemory = \"1GB\"\n[grid]\nkind = [\"notes its GPU\", \"waits\"]\nx = [1, 2]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(4);
    wait_for("GPUs", || sweep.lines("gpus").len() == 2);
    sweep.release();
    runner.end().succeeded();
    let gpus = sweep.lines("gpus");
    assert!(
        gpus.iter()
            .all(|gpu| ["0", "1", "2", "3"].contains(&gpu.as_str())),
        "{gpus:?}"
    );
    let none = Sweep::new(&cluster, "[grid]\nkind = [\"notes its GPU\"]\n");
    none.run().succeeded();
    assert!(
        !none.lines("gpus")[0].starts_with(|first: char| first.is_ascii_digit()),
        "{:?}",
        none.lines("gpus")
    );
}

/// The table that `offmodel report` prints: trials, parameters and results. The path of the report
/// differs between folders and is left out.
fn table(sweep: &Sweep<'_>, folder: &str) -> String {
    let said = sweep
        .offmodel(&["report", folder, "-o", "report.html"])
        .succeeded();
    said.stdout
        .lines()
        .filter(|line| !line.ends_with("report.html"))
        .collect::<Vec<_>>()
        .join("\n")
}
