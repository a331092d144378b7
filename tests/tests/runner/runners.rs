//! Runners that are stopped, killed, or started twice.

use std::process::{Child, Stdio};
use std::time::Duration;

use crate::sweeps::recording;
use crate::waiting_sweep::{start, status, wait_until_running, waiting};
use crate::workbench::{Cell, Workbench, wait_for};

#[test]
fn a_stopped_sweep_continues_where_it_was() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;", &["parameters"]),
            Cell(
                "while x > 0 && !Path::new(\"go\").exists() { sleep(std::time::Duration::from_millis(10))?; }\nx",
                &[],
            ),
        ],
    );
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [0, 1, 2]\n",
    );
    let mut runner = bench
        .command(&["sweep", "s.toml"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(|| {
        let out = bench
            .path("runs/s/sweep.toml")
            .is_file()
            .then(|| status(&bench));
        out.is_some_and(|document| document["succeeded"] == 1)
    });
    // A second runner on the same sweep is refused while the first one works.
    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(8, "another runner is at work on runs/s");
    assert!(status(&bench)["running"] == true);
    interrupt(runner.id());
    let code = runner.wait().unwrap().code();
    assert_eq!(code, Some(130));
    let document = status(&bench);
    assert_eq!(
        (&document["succeeded"], &document["failed"]),
        (&1.into(), &0.into())
    );
    bench.write("go", "");
    let resumed = bench.offmodel(&["sweep", "s.toml"]).succeeded();
    assert!(
        resumed.stderr.contains("1 already done, skipped"),
        "{}",
        resumed.stderr
    );
    assert_eq!(status(&bench)["succeeded"], 3);
}

#[test]
fn attempts_end_with_a_killed_runner_and_the_sweep_can_be_continued() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;", &["parameters"]),
            Cell("std::fs::write(format!(\"started-{x}\"), std::process::id().to_string())?;\nif !Path::new(\"go\").exists() { sleep(std::time::Duration::from_secs(60))?; }", &[]),
        ],
    );
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [0, 1]\n",
    );
    let mut runner = bench
        .command(&["sweep", "s.toml"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mark = bench.path("started-0");
    wait_for(|| std::fs::read_to_string(&mark).is_ok_and(|process| !process.is_empty()));
    let process = std::fs::read_to_string(&mark).unwrap();
    runner.kill().unwrap();
    runner.wait().unwrap();
    wait_for(|| !std::path::Path::new("/proc").join(&process).exists());
    bench.write("go", "");
    let resumed = bench.offmodel(&["sweep", "s.toml"]).succeeded().stderr;
    assert!(resumed.contains("did not finish, run again"), "{resumed}");
    assert_eq!(status(&bench)["succeeded"], 2);
}

#[test]
fn a_sweep_continues_when_its_output_is_closed() {
    let bench = recording();
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [1, 2]\n",
    );
    let mut runner = bench
        .command(&["sweep", "s.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // As behind `| head`.
    drop((runner.stdout.take(), runner.stderr.take()));
    assert!(runner.wait().unwrap().success());
    assert_eq!(status(&bench)["succeeded"], 2);
}

#[test]
fn two_runners_started_at_once_do_not_run_a_trial_twice() {
    let bench = waiting("[0, 2, 3]");
    // Compiles the notebook beforehand, so that all runners reach the folder at the same time.
    bench.write("go", "");
    bench
        .offmodel(&["sweep", "s.toml", "--runs", "other"])
        .succeeded();
    std::fs::remove_file(bench.path("go")).unwrap();
    let mut runners: Vec<Child> = (0..4)
        .map(|_| start(&bench, &["sweep", "s.toml"]))
        .collect();
    wait_for(|| {
        let ended = runners
            .iter_mut()
            .filter_map(|runner| runner.try_wait().unwrap());
        ended
            .map(|status| status.code())
            .eq([Some(8), Some(8), Some(8)])
    });
    bench.write("go", "");
    let codes: Vec<_> = runners
        .iter_mut()
        .map(|runner| runner.wait().unwrap().code())
        .collect();
    assert_eq!(
        codes.iter().filter(|code| **code == Some(0)).count(),
        1,
        "{codes:?}"
    );
    let document = status(&bench);
    assert_eq!(document["succeeded"], 3);
    for trial in document["trials"].as_array().unwrap() {
        assert_eq!(trial["attempts"], 1);
    }
}

#[test]
fn the_record_of_a_killed_runner_is_replaced_and_that_of_another_machine_respected() {
    let bench = waiting("[0]");
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    let mut record = bench.json("runs/s/runner.json");
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert!(bench.path("runs/s/runner.json").is_file());
    assert_eq!(status(&bench)["running"], false);
    bench.write("go", "");
    let resumed = bench.offmodel(&["sweep", "s.toml"]).succeeded().stderr;
    assert!(
        resumed.contains(&format!("the previous runner (process {} on ", runner.id())),
        "{resumed}"
    );
    record["host"] = "elsewhere".into();
    record["boot"] = "of another machine".into();
    bench.write("runs/s/runner.json", &record.to_string());
    for command in [&["sweep", "s.toml"][..], &["clean", "runs/s", "--yes"]] {
        bench.offmodel(command).failed(
            8,
            &format!(
                "another runner is at work on runs/s (process {} on elsewhere, since ",
                runner.id()
            ),
        );
    }
    bench
        .offmodel(&["cancel", "runs/s"])
        .failed(8, "out of reach from here: run `offmodel cancel` there");
    assert_eq!(status(&bench)["runner"]["host"], "elsewhere");
}

#[test]
fn a_sweep_survives_the_death_of_its_fork_server() {
    let bench = waiting("[0, 2]");
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    // Any thread of the runner may have started the server.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", runner.id())).unwrap();
    let servers: Vec<String> = tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(servers.len(), 1);
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &servers[0]])
        .status();
    assert!(killed.unwrap().success());
    bench.write("go", "");
    assert_eq!(runner.wait().unwrap().code(), Some(0));
    let document = status(&bench);
    assert_eq!(document["succeeded"], 2);
    assert_eq!(document["trials"][0]["attempts"], 2);
}

#[test]
fn sighup_stops_a_sweep_unless_it_was_started_with_nohup() {
    let hang_up = |runner: &Child| {
        let process = runner.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-HUP", &process])
            .status();
        assert!(sent.unwrap().success());
    };
    let bench = waiting("[0]");
    let mut runner = start(&bench, &["sweep", "s.toml"]);
    wait_until_running(&bench);
    hang_up(&runner);
    assert_eq!(runner.wait().unwrap().code(), Some(130));
    let command = bench.command(&["sweep", "s.toml"]);
    let program = command.get_program().to_owned();
    // `nohup` without its redirections.
    let mut ignoring = std::process::Command::new("sh");
    ignoring
        .args(["-c", "trap '' HUP; exec \"$0\" sweep s.toml"])
        .arg(program)
        .current_dir(bench.path("."))
        .stderr(Stdio::null())
        .stdout(Stdio::null());
    for (name, value) in command.get_envs() {
        ignoring.env(name, value.unwrap());
    }
    let mut runner = ignoring.spawn().unwrap();
    wait_until_running(&bench);
    hang_up(&runner);
    std::thread::sleep(Duration::from_millis(300));
    bench.write("go", "");
    assert_eq!(runner.wait().unwrap().code(), Some(0));
}

fn interrupt(process: u32) {
    let sent = std::process::Command::new("kill")
        .args(["-INT", &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}
