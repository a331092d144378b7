//! `offmodel sweep --slurm` on a real Slurm: one controller and one node with four fake GPUs,
//! started here as root on loopback ports and ended with the test.
//!
//! Needs Debian's `slurm-wlm` and `munge`, and root; without them the test says so and passes.
//! All cases share the cluster: first those that leave it alone, at the same time, then one by
//! one those that break it. `OFFMODEL_TEST_CASE` runs only the cases whose names contain it.

mod broken;
mod calm;
mod cluster;
mod limits;
mod sweep;

use cluster::{Cluster, missing};

#[test]
fn sweeps_on_a_real_slurm() {
    if let Some(reason) = missing() {
        offmodel_support::testing::skip(reason);
        return;
    }
    let cluster = Cluster::start();
    let failed = run_together(&cluster, &calm::CASES);
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
    for (name, case) in broken::CASES.into_iter().filter(is_wanted) {
        eprintln!("case: {name}");
        case(&cluster);
    }
}

#[test]
fn a_sweep_on_a_real_slurm_with_limits_on_jobs() {
    if let Some(reason) = missing() {
        offmodel_support::testing::skip(reason);
        return;
    }
    limits::more_trials_than_slurm_takes_at_once();
}

fn is_wanted((name, _): &(&str, Case)) -> bool {
    std::env::var("OFFMODEL_TEST_CASE").map_or(true, |wanted| name.contains(&wanted))
}

type Case = fn(&Cluster);

/// Runs cases at the same time; the names of those that failed.
fn run_together(cluster: &Cluster, cases: &[(&'static str, Case)]) -> Vec<&'static str> {
    std::thread::scope(|scope| {
        let running: Vec<_> = cases
            .iter()
            .filter(|case| is_wanted(case))
            .map(|(name, case)| (*name, scope.spawn(move || case(cluster))))
            .collect();
        running
            .into_iter()
            .filter_map(|(name, case)| case.join().is_err().then_some(name))
            .collect()
    })
}
