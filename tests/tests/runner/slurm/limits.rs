//! A Slurm that refuses jobs because there are too many: `MaxArraySize` and `MaxJobCount`, limits
//! that need no accounting.

use super::cluster::Cluster;
use super::sweep::{Sweep, wait_for};

/// Arrays have three tasks at most, and there is room for six jobs, ended ones of the last
/// seconds included.
pub fn more_trials_than_slurm_takes_at_once() {
    let cluster = Cluster::start_with("MaxArraySize=3\nMaxJobCount=7\nMinJobAge=2");
    let sweep = Sweep::new(
        &cluster,
        "[grid]\nkind = [\"waits\"]\nx = [1, 2, 3, 4, 5, 6, 7, 8]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(6);
    wait_for("a refusal", || cluster.has_logged("MaxJobCount"));
    // Those that run are watched meanwhile.
    assert_eq!(sweep.outcomes()[..6], ["running"; 6]);
    sweep.go();
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
