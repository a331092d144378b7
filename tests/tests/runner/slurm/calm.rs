//! Cases that leave the cluster as it is.

use serde_json::Value;

use super::Case;
use super::cluster::Cluster;
use super::sweep::{Sweep, wait_for};
use crate::workbench::said;

pub const CASES: [(&str, Case); 15] = [
    ("results as on this machine", results_as_on_this_machine),
    ("failures by their cause", failures_by_their_cause),
    ("the job's time limit", the_jobs_time_limit),
    ("throttle", throttle),
    ("too many failures", too_many_failures),
    ("GPUs", gpus),
    ("requeue", requeue),
    ("a cancelled sweep", a_cancelled_sweep),
    ("cancelled trials", cancelled_trials),
    (
        "cancelled trials without a runner",
        cancelled_trials_without_a_runner,
    ),
    ("stopped with its jobs", stopped_with_its_jobs),
    ("a killed runner", a_killed_runner),
    ("jobs without a runner", jobs_without_a_runner),
    ("unreachable", unreachable),
    ("refused", refused),
];

/// The report's table, with trials, parameters and results; not the page's path.
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

fn results_as_on_this_machine(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
        "[grid]\nx = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\n",
    );
    // The paths are as awkward as users'.
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
    // Nothing is left to do: Slurm is not even asked for a job.
    let again = sweep.offmodel(&["sweep", "s.toml", "--slurm", "--runs", folder]);
    let again = again.succeeded().stderr;
    assert!(again.contains("12 already done, skipped"), "{again}");
    assert!(!again.contains("handed"), "{again}");
}

fn failures_by_their_cause(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
        "timeout = \"4s\"\n[grid]\nkind = [\"plain\", \"fails\", \"aborts\", \"listens\", \"is deaf\"]\n",
    );
    let said = sweep.run();
    said.failed(1, "1 of 5 trials succeeded");
    said.failed(1, "took longer than the limit of 4 s (kind=is deaf)");
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
    // Lost ones: cancelled by someone else, and killed with the runner's part on the node.
    let sweep = Sweep::new(
        cluster,
        "[grid]\nkind = [\"is deaf\"]\nx = [1, 2, 3]\n[retry]\ncrash = 1\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(3);
    let job = sweep.job();
    cluster.say(&format!("scancel {job}_0"));
    cluster.say(&format!("scancel --batch --signal=KILL {job}_1"));
    // The retry of the second one, in an array of its own.
    sweep.wait_for_starts(4);
    let retry = sweep
        .records()
        .into_iter()
        .find_map(|(_, record)| record["job"].as_u64().filter(|other| *other != job))
        .unwrap();
    cluster.say(&format!("scancel {retry}_0 {job}_2"));
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

/// The program is asked to stop before the limit of its job, which has no limit of its own.
fn the_jobs_time_limit(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
        "[slurm]\ntime = \"1m\"\ncheckpoint = \"30s\"\n[grid]\nkind = [\"listens\"]\n",
    );
    let said = sweep.run();
    said.failed(1, "ran into the job's time limit: TIMEOUT, job");
    said.failed(1, "asked to stop before the job's limit");
    assert_eq!(sweep.outcomes(), ["failed cluster TIMEOUT"]);
}

fn throttle(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
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
fn too_many_failures(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
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
    sweep.go();
    let said = runner.end();
    said.failed(1, "max_failures reached: ");
    let outcomes = sweep.outcomes();
    // At most two ran at once, and two of those that wait never ended before.
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

fn gpus(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
        "[resources]\ngpus = 1\ncores = 1\nmemory = \"1GB\"\n[grid]\nkind = [\"tells its gpu\", \"waits\"]\nx = [1, 2]\n",
    );
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(4);
    wait_for("GPUs", || sweep.lines("gpus").len() == 2);
    sweep.go();
    runner.end().succeeded();
    let gpus = sweep.lines("gpus");
    assert!(
        gpus.iter()
            .all(|gpu| ["0", "1", "2", "3"].contains(&gpu.as_str())),
        "{gpus:?}"
    );
    let none = Sweep::new(cluster, "[grid]\nkind = [\"tells its gpu\"]\n");
    none.run().succeeded();
    assert!(
        !none.lines("gpus")[0].starts_with(|first: char| first.is_ascii_digit()),
        "{:?}",
        none.lines("gpus")
    );
}

/// Slurm starts a task again by itself; that is another attempt, and what the first one wrote
/// stays.
fn requeue(cluster: &Cluster) {
    let sweep = Sweep::new(cluster, "[grid]\nkind = [\"waits\"]\n");
    let runner = sweep.start(&[]);
    sweep.wait_for_starts(1);
    let job = sweep.job();
    cluster.say(&format!("scontrol requeue {job}_0"));
    let mut looks = 0;
    wait_for("the second attempt", || {
        // Otherwise Slurm waits for two minutes, whatever reason it tells at first. Told at every
        // look, it would put the start off each time.
        looks += 1;
        let state = cluster.command(&format!("squeue -r -h -o %T -j {job}_0"));
        if looks % 30 == 1 && state.stdout.trim_ascii() == b"PENDING" {
            cluster.command(&format!("scontrol update jobid={job}_0 StartTime=now"));
        }
        sweep.started().len() == 2
    });
    sweep.go();
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

fn a_cancelled_sweep(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
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
    sweep.go();
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

/// One that runs and one that waits; the runner and the other trials go on.
fn cancelled_trials(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
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
    // The place of the first one is free.
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
    sweep.go();
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

fn cancelled_trials_without_a_runner(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
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
    sweep.go();
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

fn stopped_with_its_jobs(cluster: &Cluster) {
    let sweep = Sweep::new(cluster, "[grid]\nkind = [\"waits\"]\nx = [1, 2]\n");
    let runner = sweep.start(&["--when-stopped", "cancel"]);
    sweep.wait_for_starts(2);
    runner.signal("TERM");
    runner
        .end()
        .failed(130, "2 trials are left; run the same command to go on");
    wait_for("the end of its jobs", || sweep.queue().is_empty());
}

/// The second runner finds the jobs of the first, also where that one did not live to note their
/// number, and no trial runs twice.
fn a_killed_runner(cluster: &Cluster) {
    let sweep = Sweep::new(cluster, "[grid]\nkind = [\"waits\"]\nx = [1, 2, 3]\n");
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
    sweep.go();
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

/// Jobs that go on without a runner are told as what they are, and followed to their end.
fn jobs_without_a_runner(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
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
    command.env("SLURM_CONF", sweep.configuration_of_nobody());
    let told: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let error = told["slurm"]["error"].as_str().unwrap();
    assert!(error.starts_with("Slurm cannot be reached"), "{error}");
    assert_eq!(told["trials"][0]["status"], "unfinished");
    let mut command = sweep.command(&["status", "runs/s"]);
    command.env("PATH", "/nonexistent");
    let told = said(&command.output().unwrap()).succeeded().stdout;
    assert!(
        told.contains("Slurm could not be asked, trials without a result may wait or run there: failed to start `squeue`"),
        "{told}"
    );
    let mut command = sweep.command(&["logs", "-f", "runs/s"]);
    command.env("PATH", "/nonexistent");
    said(&command.output().unwrap()).failed(9, "failed to start `squeue`");

    let mut follower = sweep.follow_logs();
    follower.wait_for("trial 2 is waits");
    sweep.go();
    let (text, code) = follower.end();
    assert_eq!(code, 0, "{text}");
    for x in 1..=3 {
        let line = format!("trial {x} is waits\n");
        assert_eq!(text.matches(&line).count(), 1, "{text}");
    }
    // All of them published what they became: nobody needs to be asked any more.
    let mut command = sweep.command(&["status", "runs/s", "--json"]);
    command.env("PATH", "/nonexistent");
    let told: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(
        (&told["succeeded"], &told["slurm"]),
        (&3.into(), &Value::Null)
    );
}

fn unreachable(cluster: &Cluster) {
    let sweep = Sweep::new(cluster, "[grid]\nx = [1]\n");
    let mut command = sweep.command(&["sweep", "s.toml", "--slurm"]);
    command.env("SLURM_CONF", sweep.configuration_of_nobody());
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
    assert!(left.is_empty(), "nothing is half submitted: {left:?}");
}

fn refused(cluster: &Cluster) {
    let sweep = Sweep::new(
        cluster,
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
