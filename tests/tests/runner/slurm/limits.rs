//! Limits of the sweep file, and limits of Slurm.

use super::cluster::Cluster;
use super::sweep::{Sweep, wait_for};

#[test]
fn no_more_trials_run_at_once_than_the_throttle_allows() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[slurm]\nthrottle = 2\nmax_queued = 4\n[grid]\nkind = [\"counts\"]\nx = [1, 2, 3, 4, 5, 6]\n",
    );
    sweep.run().succeeded();
    let counts: Vec<usize> = sweep
        .lines("counts")
        .iter()
        .map(|count| count.parse().unwrap())
        .collect();
    assert_eq!(counts.len(), 6);
    assert!(counts.iter().all(|count| *count <= 2), "{counts:?}");
    assert!(sweep.records().len() >= 2, "no more than four at once");
}

/// No further trial begins; those that run go on.
#[test]
fn after_max_failures_no_trial_begins_and_running_ones_end() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "max_failures = 2\n[slurm]\nthrottle = 2\n[grid]\nkind = [\"fails\", \"waits\"]\nx = [1, 2, 3, 4]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(2);
    wait_for("the end of what waited", || {
        let failed = sweep
            .outcomes()
            .iter()
            .filter(|outcome| *outcome == "failed cell")
            .count();
        failed >= 2 && sweep.queue().iter().all(|task| !task.ends_with("PENDING"))
    });
    sweep.release();
    let said = runner.end();
    said.failed(1, "max_failures reached: ");
    let outcomes = sweep.outcomes();
    // At most two ran at the same time, and those of kind `waits` did not end before.
    assert_eq!(outcomes[..2], ["failed cell", "failed cell"]);
    assert_eq!(outcomes[6..], ["new", "new"], "{outcomes:?}");
    assert!(
        !outcomes.contains(&"failed cluster CANCELLED".to_owned()),
        "{outcomes:?}"
    );
    assert!(sweep.queue().is_empty());
    let records = sweep.records();
    assert!(
        records.iter().all(|(_, record)| record["closed"] == true),
        "{records:?}"
    );
}

/// Arrays have at most three tasks, and there is room for six jobs, including those that ended in
/// the last seconds. These limits need no accounting database.
#[test]
fn more_trials_than_slurm_accepts_run_one_array_after_the_other() {
    let Some(cluster) = Cluster::start_with("MaxArraySize=3\nMaxJobCount=7\nMinJobAge=2") else {
        return;
    };
    let sweep = Sweep::new(
        &cluster,
        "[grid]\nkind = [\"waits\"]\nx = [1, 2, 3, 4, 5, 6, 7, 8]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(6);
    wait_for("a refusal", || cluster.has_logged("MaxJobCount"));
    // Running trials are polled meanwhile.
    assert_eq!(sweep.outcomes()[..6], ["running"; 6]);
    sweep.release();
    let said = runner.end().succeeded();
    assert!(
        said.stderr
            .contains("Slurm takes no more jobs now: `sbatch` says: "),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr.contains("8 of 8 trials succeeded"),
        "{}",
        said.stderr
    );
    let mut started = sweep.started();
    started.sort_unstable();
    assert_eq!(started, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    let records = sweep.records();
    assert!(records.len() >= 3, "{records:?}");
    for (_, record) in records {
        assert!(record["tasks"].as_array().unwrap().len() <= 3);
        assert_eq!(record["closed"], true);
    }
    let trials = sweep.trials();
    assert!(
        trials.iter().all(|trial| trial["attempts"] == 1),
        "{trials:?}"
    );
}
