//! Stopping a sweep, or single trials of it.

use super::cluster::Cluster;
use super::sweep::{Sweep, wait_for};

#[test]
fn a_stopped_runner_leaves_its_jobs_and_cancel_ends_them() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[slurm]\nthrottle = 1\n[grid]\nkind = [\"waits\"]\nx = [1, 2, 3]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(1);
    runner.signal("INT");
    let said = runner.end();
    said.failed(130, "3 trials stay in Slurm");
    assert_eq!(sweep.queue().len(), 3);
    sweep.offmodel(&["sweep", "s.toml"]).failed(
        8,
        "go on with `--slurm`, or end them first with `offmodel cancel runs/s`",
    );
    let said = sweep.offmodel(&["cancel", "runs/s"]).succeeded();
    assert!(
        said.stdout.contains("3 trials cancelled in Slurm"),
        "{}",
        said.stdout
    );
    assert!(sweep.queue().is_empty());
    let said = sweep.offmodel(&["cancel", "runs/s"]).succeeded();
    assert!(!said.stdout.contains("cancelled"), "{}", said.stdout);
    sweep.release();
    let said = sweep.run().succeeded();
    assert!(
        said.stderr.contains("3 did not finish, run again"),
        "{}",
        said.stderr
    );
    assert_eq!(sweep.outcomes(), ["succeeded"; 3]);
    let closed = sweep.records();
    assert!(
        closed.iter().all(|(_, record)| record["closed"] == true),
        "{closed:?}"
    );
}

#[test]
fn a_runner_stopped_with_its_jobs_cancels_them() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(&cluster, "[grid]\nkind = [\"waits\"]\nx = [1, 2]\n");
    let runner = sweep.start(&["--when-stopped", "cancel"]);
    sweep.wait_for_starts(2);
    runner.signal("TERM");
    runner
        .end()
        .failed(130, "2 trials are left; run the same command to continue");
    wait_for("the end of its jobs", || sweep.queue().is_empty());
}

/// One of the cancelled trials runs, one waits; the runner and the other trials go on.
#[test]
fn single_trials_are_cancelled_by_the_runner() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[slurm]\nthrottle = 2\n[grid]\nkind = [\"waits\"]\nx = [1, 2, 3, 4]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(2);
    let trials = sweep.trials();
    let names = [0, 3].map(|index: usize| trials[index]["trial"].as_str().unwrap().to_owned());
    let said = sweep
        .offmodel(&["cancel", "runs/s", &names[0], &names[1]])
        .succeeded();
    assert_eq!(
        said.stdout.matches("  cancelled (").count(),
        2,
        "{}",
        said.stdout
    );
    // The throttle leaves room for the third trial.
    sweep.wait_for_starts(3);
    assert_eq!(
        sweep.outcomes(),
        [
            "cancelled cancelled",
            "running",
            "running",
            "cancelled cancelled"
        ]
    );
    sweep.release();
    let said = runner.end().succeeded();
    assert!(
        said.stderr.contains("2 trials are cancelled"),
        "{}",
        said.stderr
    );
    let mut started = sweep.started();
    started.sort_unstable();
    assert_eq!(started, ["1", "2", "3"]);
    let trials = sweep.trials();
    assert!(
        trials.iter().all(|trial| trial["attempts"] == 1),
        "{trials:?}"
    );
}

#[test]
fn single_trials_are_cancelled_without_a_runner() {
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
    let said = sweep
        .offmodel(&["cancel", "runs/s", "-p", "x=2"])
        .succeeded();
    assert!(said.stdout.contains("  cancelled ("), "{}", said.stdout);
    sweep.wait_for_starts(3);
    assert_eq!(
        sweep.outcomes(),
        ["running", "cancelled cancelled", "running"]
    );
    sweep.release();
    let said = sweep.run().succeeded();
    assert!(
        said.stderr.contains("1 cancelled, skipped"),
        "{}",
        said.stderr
    );
    assert_eq!(
        sweep.outcomes(),
        ["succeeded", "cancelled cancelled", "succeeded"]
    );
}
