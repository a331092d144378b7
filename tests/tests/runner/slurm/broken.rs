//! Cases that break the cluster, one after the other.

use super::Case;
use super::cluster::Cluster;
use super::sweep::{Sweep, wait_for};

pub const CASES: [(&str, Case); 4] = [
    ("preemption", preemption),
    ("a node that fails", a_node_that_fails),
    ("a controller that is killed", a_controller_that_is_killed),
    ("a node daemon that is killed", a_node_daemon_that_is_killed),
];

fn preemption(cluster: &Cluster) {
    cluster.wait_until_idle();
    let sweep = Sweep::new(
        cluster,
        "[slurm]\nrequeue = false\n[retry]\npreemption = 1\n[grid]\nkind = [\"waits\"]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(1);
    cluster.say("sbatch --partition=urgent --exclusive --output=/dev/null --wrap=true");
    // On its second attempt.
    sweep.wait_for_starts(2);
    sweep.go();
    let said = runner.end().succeeded();
    assert!(
        said.stderr.contains("the cluster took it away: PREEMPTED"),
        "{}",
        said.stderr
    );
    assert_eq!(sweep.trials()[0]["result"]["attempt"], 2);
}

fn a_node_that_fails(cluster: &Cluster) {
    cluster.wait_until_idle();
    let sweep = Sweep::new(
        cluster,
        "[slurm]\nrequeue = false\n[grid]\nkind = [\"waits\"]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(1);
    let node = cluster.say("sinfo -h -o %n").trim().to_owned();
    cluster.say(&format!(
        "scontrol update nodename={node} state=down reason=test"
    ));
    let said = runner.end();
    said.failed(1, "the cluster took it away: NODE_FAIL");
    assert_eq!(sweep.outcomes(), ["failed cluster NODE_FAIL"]);
    // The node, which only was said to be down, comes back by itself.
    cluster.wait_until_idle();
    sweep.go();
    let said = sweep.run().succeeded();
    assert!(
        said.stderr.contains("1 failed before, run again"),
        "{}",
        said.stderr
    );
}

/// Trials that end while nobody answers are done, and those that did not begin are waited for.
fn a_controller_that_is_killed(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
        "[slurm]\nthrottle = 2\n[grid]\nkind = [\"waits\"]\nx = [1, 2, 3, 4]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(2);
    cluster.wait_until_saved();
    cluster.kill_controller();
    sweep.go();
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

fn a_node_daemon_that_is_killed(cluster: &Cluster) {
    cluster.wait_until_idle();
    let sweep = Sweep::new(
        cluster,
        "[slurm]\nthrottle = 2\n[grid]\nkind = [\"waits\"]\nx = [1, 2, 3, 4]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(2);
    cluster.kill_node();
    sweep.go();
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
