//! Faults of the cluster: preemption, requeues, dead daemons, an absent or unwilling Slurm.

use super::cluster::Cluster;
use super::sweep::{Sweep, wait_for};
use crate::workbench::said;

#[test]
fn without_a_reachable_slurm_nothing_is_submitted() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(&cluster, "[grid]\nx = [1]\n");
    let mut command = sweep.command(&["sweep", "s.toml", "--slurm"]);
    command.env("SLURM_CONF", sweep.configuration_without_controller());
    said(&command.output().unwrap()).failed(
        9,
        "error: Slurm cannot be reached: `scontrol` says: Unable to contact slurm controller",
    );
    let mut command = sweep.command(&["sweep", "s.toml", "--slurm"]);
    command.env("PATH", "/nonexistent");
    said(&command.output().unwrap()).failed(9, "failed to start `scontrol`");
    let left: Vec<_> = sweep
        .bench
        .names("runs")
        .iter()
        .flat_map(|name| sweep.bench.names(&format!("runs/{name}")))
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "files of a submission are left: {left:?}");
}

#[test]
fn a_refused_submission_leaves_no_trace() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[slurm]\npartition = \"nowhere\"\n[grid]\nx = [1, 2]\n",
    );
    sweep.run().failed(
        9,
        "error: Slurm refuses: `sbatch` says: invalid partition specified: nowhere",
    );
    assert!(sweep.records().is_empty());
    for trial in sweep.trials() {
        assert_eq!(
            (&trial["status"], &trial["attempts"]),
            (&"new".into(), &0.into())
        );
    }
}

/// What the first attempt wrote stays.
#[test]
fn a_requeued_task_makes_another_attempt() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(&cluster, "[grid]\nkind = [\"waits\"]\n");
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(1);
    let job = sweep.job();
    cluster.run(&format!("scontrol requeue {job}_0"));
    let mut checks = 0;
    wait_for("the second attempt", || {
        // Slurm starts a requeued job only after two minutes, unless its start time is changed. Each
        // change delays the job a little, so it is repeated only now and then.
        checks += 1;
        let state = cluster.command(&format!("squeue -r -h -o %T -j {job}_0"));
        if checks % 30 == 1 && state.stdout.trim_ascii() == b"PENDING" {
            cluster.command(&format!("scontrol update jobid={job}_0 StartTime=now"));
        }
        sweep.started().len() == 2
    });
    sweep.release();
    let said = runner.end().succeeded();
    assert!(
        said.stderr.contains("1 of 1 trials succeeded"),
        "{}",
        said.stderr
    );
    let trial = &sweep.trials()[0];
    assert_eq!(trial["result"]["attempt"], 2);
    let folder = format!("runs/s/trial-{}", trial["trial"].as_str().unwrap());
    let first = sweep.bench.names(&format!("{folder}/attempt-1"));
    assert!(first.contains(&"events.jsonl".to_owned()), "{first:?}");
    assert!(!first.contains(&"result.json".to_owned()), "{first:?}");
    assert_eq!(sweep.records().len(), 1);
}

#[test]
fn a_preempted_trial_is_retried() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[slurm]\nrequeue = false\n[retry]\npreemption = 1\n[grid]\nkind = [\"waits\"]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(1);
    cluster.run("sbatch --partition=urgent --exclusive --output=/dev/null --wrap=true");
    // The second start is that of the second attempt.
    sweep.wait_for_starts(2);
    sweep.release();
    let said = runner.end().succeeded();
    assert!(
        said.stderr.contains("the cluster took it away: PREEMPTED"),
        "{}",
        said.stderr
    );
    assert_eq!(sweep.trials()[0]["result"]["attempt"], 2);
}

#[test]
fn a_failed_node_is_the_reason_of_the_failure() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[slurm]\nrequeue = false\n[grid]\nkind = [\"waits\"]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(1);
    let node = cluster.run("sinfo -h -o %n").trim().to_owned();
    cluster.run(&format!(
        "scontrol update nodename={node} state=down reason=test"
    ));
    let said = runner.end();
    said.failed(1, "the cluster took it away: NODE_FAIL");
    assert_eq!(sweep.outcomes(), ["failed cluster NODE_FAIL"]);
    // The node's daemon still runs, so the node returns to service by itself.
    cluster.wait_until_idle();
    sweep.release();
    let said = sweep.run().succeeded();
    assert!(
        said.stderr.contains("1 failed before, run again"),
        "{}",
        said.stderr
    );
}

/// Trials that end while the controller is dead have succeeded; those that have not begun are waited
/// for.
#[test]
fn results_count_while_the_controller_is_dead() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[slurm]\nthrottle = 2\n[grid]\nkind = [\"waits\"]\nx = [1, 2, 3, 4]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(2);
    cluster.wait_until_saved();
    cluster.kill_controller();
    sweep.release();
    wait_for("results without a controller", || {
        sweep
            .outcomes()
            .iter()
            .filter(|outcome| *outcome == "succeeded")
            .count()
            == 2
    });
    cluster.start_controller();
    let said = runner.end().succeeded();
    assert!(
        said.stderr.contains("4 of 4 trials succeeded"),
        "{}",
        said.stderr
    );
    let mut started = sweep.started();
    started.sort_unstable();
    assert_eq!(started, ["1", "2", "3", "4"]);
}

#[test]
fn results_count_while_the_node_daemon_is_dead() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[slurm]\nthrottle = 2\n[grid]\nkind = [\"waits\"]\nx = [1, 2, 3, 4]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(2);
    cluster.kill_node();
    sweep.release();
    wait_for("results without a node daemon", || {
        sweep
            .outcomes()
            .iter()
            .filter(|outcome| *outcome == "succeeded")
            .count()
            == 2
    });
    cluster.start_node();
    let said = runner.end().succeeded();
    assert!(
        said.stderr.contains("4 of 4 trials succeeded"),
        "{}",
        said.stderr
    );
    let mut started = sweep.started();
    started.sort_unstable();
    assert_eq!(started, ["1", "2", "3", "4"]);
}
