//! A runner that was killed or stopped, and what others see of its jobs.

use serde_json::Value;

use super::cluster::Cluster;
use super::sweep::{Sweep, wait_for};
use crate::workbench::captured;

/// The second runner finds the jobs of the first even if that one died before it could record the
/// job's number, and no trial runs twice.
#[test]
fn the_next_runner_follows_the_jobs_of_a_killed_one() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(&cluster, "[grid]\nkind = [\"waits\"]\nx = [1, 2, 3]\n");
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(3);
    wait_for("the number", || sweep.records()[0].1["job"].is_u64());
    runner.signal("KILL");
    runner.end();
    let (path, mut record) = sweep.records().remove(0);
    let job = std::mem::take(&mut record["job"]);
    std::fs::write(&path, record.to_string()).unwrap();
    let runner = sweep.start(&[]);
    wait_for("the number", || sweep.records()[0].1["job"] == job);
    sweep.release();
    let said = runner.end().succeeded();
    assert!(
        said.stderr.contains("3 of 3 trials succeeded"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("handed"), "{}", said.stderr);
    let mut started = sweep.started();
    started.sort_unstable();
    assert_eq!(started, ["1", "2", "3"]);
    assert_eq!(sweep.records().len(), 1);
}

#[test]
fn jobs_without_a_runner_are_shown_and_followed_to_their_end() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[slurm]\nthrottle = 2\n[grid]\nkind = [\"waits\"]\nx = [1, 2, 3]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(2);
    runner.signal("INT");
    runner.end().failed(130, "3 trials stay in Slurm");
    assert_eq!(sweep.outcomes(), ["running", "running", "waiting"]);
    let job = sweep.job();
    for (index, trial) in sweep.trials().iter().enumerate() {
        assert_eq!(trial["job"], format!("{job}_{index}"));
    }
    let told = sweep.offmodel(&["status", "runs/s"]).succeeded().stdout;
    assert!(
        told.contains("3 left; no runner is at work\nin Slurm: 2 running, 1 waiting"),
        "{told}"
    );
    assert!(
        told.contains(&format!("is running in attempt 1, job {job}_0 (kind=waits")),
        "{told}"
    );

    let mut command = sweep.command(&["status", "runs/s", "--json"]);
    command.env("SLURM_CONF", sweep.configuration_without_controller());
    let told: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let error = told["slurm"]["error"].as_str().unwrap();
    assert!(error.starts_with("Slurm cannot be reached"), "{error}");
    assert_eq!(told["trials"][0]["status"], "unfinished");
    let mut command = sweep.command(&["status", "runs/s"]);
    command.env("PATH", "/nonexistent");
    let told = captured(&command.output().unwrap()).succeeded().stdout;
    assert!(
        told.contains("Slurm did not answer, so trials without a result may wait or run there: failed to start `squeue`"),
        "{told}"
    );
    let mut command = sweep.command(&["logs", "-f", "runs/s"]);
    command.env("PATH", "/nonexistent");
    captured(&command.output().unwrap()).failed(9, "failed to start `squeue`");

    let mut follower = sweep.follow_logs();
    follower.wait_for("trial 2 is waits");
    sweep.release();
    let (text, code) = follower.end();
    assert_eq!(code, 0, "{text}");
    for x in 1..=3 {
        let line = format!("trial {x} is waits\n");
        assert_eq!(text.matches(&line).count(), 1, "{text}");
    }
    // Every trial has a result, so Slurm need not be asked any more.
    let mut command = sweep.command(&["status", "runs/s", "--json"]);
    command.env("PATH", "/nonexistent");
    let told: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(
        (&told["succeeded"], &told["slurm"]),
        (&3.into(), &Value::Null)
    );
}
