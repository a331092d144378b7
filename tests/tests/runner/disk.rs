//! A disk that is full, or that cannot be written at all.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::workbench::{Cell, Workbench};

/// A file system of our own over a folder of the bench, as long as it lives.
struct Mount {
    folder: PathBuf,
}

impl Mount {
    /// `None`, with a word about it, where we may not mount.
    fn over(bench: &Workbench, folder: &str, options: &str) -> Option<Self> {
        let folder = bench.path(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&folder)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { folder }),
            _ => {
                offmodel_support::testing::skip("no right to mount a file system (run as root)");
                None
            }
        }
    }

    fn change(&self, options: &str) {
        let changed = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.folder)
            .status();
        assert!(changed.unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

/// Trials that show 50 kB of text and record a frame.
fn talkative(trials: usize) -> Workbench {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 0;", &["parameters"]),
            Cell("println!(\"{}\", \"word \".repeat(10_000));\nrecord(\"result\", &df!(\"x\" => [x])?)?;", &[]),
        ],
    );
    let values: Vec<String> = (0..trials).map(|x| x.to_string()).collect();
    bench.write(
        "s.toml",
        &format!(
            "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [{}]\n",
            values.join(", ")
        ),
    );
    bench
}

/// Asserts that every file that has its name is whole, and gives the number of trials that
/// succeeded.
fn whole(bench: &Workbench) -> usize {
    let mut succeeded = 0;
    for trial in bench
        .names("runs/s")
        .iter()
        .filter(|name| name.starts_with("trial-"))
    {
        for attempt in bench.names(&format!("runs/s/{trial}")) {
            let folder = format!("runs/s/{trial}/{attempt}");
            let names = bench.names(&folder);
            for name in names.iter().filter(|name| {
                !name.starts_with('.') && (name.ends_with(".json") || name.ends_with(".ipynb"))
            }) {
                let text =
                    std::fs::read_to_string(bench.path(&format!("{folder}/{name}"))).unwrap();
                assert!(
                    serde_json::from_str::<Value>(&text).is_ok(),
                    "{folder}/{name}: {text:?}"
                );
            }
            if names.iter().any(|name| name == "result.json") {
                let result = bench.json(&format!("{folder}/result.json"));
                if result["status"] == "succeeded" {
                    succeeded += 1;
                    assert!(names.iter().any(|name| name == "out.ipynb"));
                    let frame = std::fs::read(bench.path(&format!("{folder}/result.parquet")));
                    assert!(frame.unwrap().ends_with(b"PAR1"));
                }
            }
        }
    }
    succeeded
}

#[test]
fn a_full_disk_ends_the_sweep_and_with_room_it_goes_on() {
    let bench = talkative(20);
    let Some(disk) = Mount::over(&bench, "runs", "size=1m") else {
        return;
    };
    let said = bench.offmodel(&["sweep", "s.toml", "--workers", "2"]);
    said.failed(5, "failed to write runs/s/");
    said.failed(5, "No space left on device");
    let before = whole(&bench);
    assert!((1..20).contains(&before), "{before}");
    // Still full: it says so at once.
    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(5, "No space left on device");
    disk.change("size=64m");
    let resumed = bench.offmodel(&["sweep", "s.toml"]).succeeded().stderr;
    assert!(
        resumed.contains(&format!("({before} already done, skipped")),
        "{resumed}"
    );
    assert!(resumed.contains("20 of 20 trials succeeded"), "{resumed}");
    assert_eq!(whole(&bench), 20);
    assert!(bench.path("runs/s/results.parquet").is_file());
}

#[test]
fn a_disk_that_turns_read_only_ends_the_sweep_and_writable_again_it_goes_on() {
    let bench = talkative(2);
    let Some(disk) = Mount::over(&bench, "runs", "size=64m") else {
        return;
    };
    bench.offmodel(&["sweep", "s.toml"]).succeeded();
    let sweep = std::fs::read_to_string(bench.path("s.toml")).unwrap();
    bench.write("s.toml", &sweep.replace("[0, 1]", "[0, 1, 2]"));
    disk.change("ro");
    let before = bench.names("runs/s");
    bench.offmodel(&["sweep", "s.toml"]).failed(
        5,
        "failed to write runs/s: read-only filesystem or storage medium",
    );
    assert_eq!(bench.names("runs/s"), before);
    // Looking needs no writing.
    let plan = bench
        .offmodel(&["sweep", "s.toml", "--dry-run"])
        .succeeded();
    assert!(plan.stdout.contains("x=2  runs: new"), "{}", plan.stdout);
    let status = bench.offmodel(&["status", "runs/s"]).succeeded();
    assert!(status.stdout.contains("2 succeeded"), "{}", status.stdout);
    disk.change("rw");
    bench.offmodel(&["sweep", "s.toml"]).succeeded();
    assert_eq!(whole(&bench), 3);
}
