//! The sweep of one test: its folder, its runner, its jobs.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::cluster::Cluster;
use crate::workbench::{Cell, Said, Workbench, said};

/// The notebook of all tests, so that it is compiled only once. The parameter `kind` says what a trial
/// does; each trial first adds a line to the file `started`.
const CELLS: [Cell; 3] = [
    Cell(
        "let x: i64 = 0;\nlet kind: String = \"plain\".to_owned();",
        &["parameters"],
    ),
    Cell(
        r#"
use std::io::Write as _;
let note = |file: &str, text: String| -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(format!("{text}\n").as_bytes())
};
println!("trial {x} is {kind}");
note("started", x.to_string())?;
match kind.as_str() {
    "waits" => while !Path::new("go").exists() {
        sleep(std::time::Duration::from_millis(50))?;
    },
    "fails" => { let _: i64 = "x".parse()?; }
    "aborts" => std::process::abort(),
    "sleeps" => sleep(std::time::Duration::from_secs(300))?,
    "ignores interrupts" => std::thread::sleep(std::time::Duration::from_secs(300)),
    "counts" => {
        let mark = format!("running-{x}");
        std::fs::write(&mark, "")?;
        sleep(std::time::Duration::from_millis(400))?;
        let running = std::fs::read_dir(".")?
            .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("running-")))
            .count();
        note("counts", running.to_string())?;
        std::fs::remove_file(&mark)?;
    }
    "notes its GPU" => note("gpus", std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default())?,
    _ => {}
}"#,
        &[],
    ),
    Cell(
        "let frame = df!(\"x\" => [x], \"square\" => [x * x])?;\nrecord(\"result\", &frame)?;",
        &[],
    ),
];

pub(super) struct Sweep<'a> {
    pub bench: Workbench,
    cluster: &'a Cluster,
}

/// A runner in the background.
pub(super) struct Runner(Child);

/// `offmodel logs -f` in the background.
pub(super) struct Follower {
    child: Child,
    lines: BufReader<ChildStdout>,
    text: String,
}

impl<'a> Sweep<'a> {
    /// A folder with the notebook and a sweep file `s.toml`, which continues with `file`.
    pub(super) fn new(cluster: &'a Cluster, file: &str) -> Self {
        let bench = Workbench::new();
        bench.tagged_notebook("n.ipynb", &CELLS);
        bench.write(
            "s.toml",
            &format!("version = 1\nnotebook = \"n.ipynb\"\n{file}"),
        );
        Self { bench, cluster }
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bench.command(arguments);
        command.env("SLURM_CONF", self.cluster.configuration());
        command
    }

    pub(super) fn offmodel(&self, arguments: &[&str]) -> Said {
        said(&self.command(arguments).output().unwrap())
    }

    /// Runs `offmodel sweep s.toml --slurm` to its end.
    pub(super) fn run(&self) -> Said {
        self.offmodel(&["sweep", "s.toml", "--slurm"])
    }

    /// Starts `offmodel sweep s.toml --slurm`.
    pub(super) fn start(&self, arguments: &[&str]) -> Runner {
        let mut command = self.command(&["sweep", "s.toml", "--slurm"]);
        let child = command
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        Runner(child.unwrap())
    }

    /// Starts `offmodel logs -f`.
    pub(super) fn follow_logs(&self) -> Follower {
        let mut command = self.command(&["logs", "-f", "runs/s"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        Follower {
            lines: BufReader::new(child.stdout.take().unwrap()),
            child,
            text: String::new(),
        }
    }

    /// A configuration of Slurm that names a controller which does not run.
    pub(super) fn configuration_without_controller(&self) -> PathBuf {
        let configuration = std::fs::read_to_string(self.cluster.configuration()).unwrap();
        let elsewhere: String = configuration
            .lines()
            .map(|line| match line.strip_prefix("SlurmctldPort=") {
                // Nothing listens on port 1.
                Some(_) => "SlurmctldPort=1\n".to_owned(),
                None => format!("{line}\n"),
            })
            .collect();
        self.bench.write("slurm.conf", &elsewhere);
        self.bench.path("slurm.conf")
    }

    /// The trials in the order of the sweep file.
    pub(super) fn trials(&self) -> Vec<Value> {
        let said = self.offmodel(&["status", "runs/s", "--json"]).succeeded();
        let status: Value = serde_json::from_str(&said.stdout).unwrap();
        status["trials"].as_array().unwrap().clone()
    }

    /// The status of each trial; after a failure with the reason's kind, and Slurm's state if any.
    pub(super) fn outcomes(&self) -> Vec<String> {
        self.trials()
            .iter()
            .map(|trial| {
                let cause = &trial["result"]["cause"];
                let kind = cause["kind"].as_str().unwrap_or_default();
                let state = cause["state"].as_str().unwrap_or_default();
                let status = trial["status"].as_str().unwrap();
                [status, kind, state]
                    .into_iter()
                    .filter(|word| !word.is_empty())
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect()
    }

    /// The records of the sweep's job arrays, with their paths.
    pub(super) fn records(&self) -> Vec<(PathBuf, Value)> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(self.bench.path("runs/s/slurm"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .collect();
        paths.sort();
        paths
            .into_iter()
            .map(|path| {
                let text = std::fs::read_to_string(&path).unwrap();
                (path, serde_json::from_str(&text).unwrap())
            })
            .collect()
    }

    /// The number of the sweep's only job array.
    pub(super) fn job(&self) -> u64 {
        let records = self.records();
        assert_eq!(records.len(), 1);
        records[0].1["job"].as_u64().unwrap()
    }

    /// `INDEX|STATE` of each task of its only job array that has not ended.
    pub(super) fn queue(&self) -> Vec<String> {
        let job = self.job();
        let output = self
            .cluster
            .command(&format!("squeue -r -h -o %i|%T -j {job}"));
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| line.split_once('_').unwrap().1.to_owned())
            .collect()
    }

    /// The `x` of trials that have begun, in that order.
    pub(super) fn started(&self) -> Vec<String> {
        self.lines("started")
    }

    pub(super) fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.bench.path(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until `count` trials have begun.
    pub(super) fn wait_for_starts(&self, count: usize) {
        wait_for(&format!("{count} starts"), || self.started().len() >= count);
    }

    /// Lets trials of kind `waits` end.
    pub(super) fn release(&self) {
        self.bench.write("go", "");
    }
}

impl Follower {
    /// Reads until a line with this text.
    pub(super) fn wait_for(&mut self, text: &str) {
        while !self.text.contains(text) {
            let read = self.lines.read_line(&mut self.text).unwrap();
            assert!(read > 0, "the command ended after {}", self.text);
        }
    }

    /// Waits for the end, and returns all output and the exit code.
    pub(super) fn end(mut self) -> (String, i32) {
        self.lines.read_to_string(&mut self.text).unwrap();
        let status = self.child.wait().unwrap();
        (self.text, status.code().unwrap_or(-1))
    }
}

impl Runner {
    pub(super) fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &self.0.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end.
    pub(super) fn end(self) -> Said {
        said(&self.0.wait_with_output().unwrap())
    }
}

/// Waits until a condition holds. The limit is a number of checks and not a time: on a busy machine
/// this process is slowed down together with those for which it waits.
pub(super) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    const MAX_CHECKS: usize = 1200;
    for _ in 0..MAX_CHECKS {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what} did not come");
}
