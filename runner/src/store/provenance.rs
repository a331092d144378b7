//! Where the code and the environment of an attempt came from.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use offmodel_program::{Notebook, Program, Versions};
use offmodel_support::{digest, process};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The code and the environment of an attempt.
///
/// Environment variables are left out, because they may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The notebook's path, as the user gave it.
    pub notebook: String,
    /// The hash of the executed cells.
    pub code_hash: String,
    /// The cache key of the compiled program, a hash of source, compiler and prelude.
    pub program: String,
    /// The versions of compiler, prelude and libtorch, by content.
    #[serde(default)]
    pub versions: Option<Versions>,
    /// The version of offmodel.
    pub offmodel: String,
    /// The state of the git repository that the notebook lies in.
    pub git: Option<GitState>,
    /// The machine's host name.
    pub host: String,
    /// Logical cores that the runner may use.
    pub cores: usize,
    /// `cuda` if the machine has an NVIDIA device, otherwise `cpu`.
    pub device: String,
    /// The processor's model.
    #[serde(default)]
    pub processor: String,
    /// The models of the GPUs, by number.
    #[serde(default)]
    pub gpus: Vec<String>,
}

/// The state of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitState {
    /// The commit that is checked out.
    pub revision: String,
    /// The hash of all changes since that commit: to tracked files, and in untracked files that
    /// git does not ignore. Files in sweeps' folders do not count. None without changes.
    pub changes: Option<String>,
}

impl Provenance {
    /// The provenance of a program that runs on this machine now.
    pub fn collect(notebook: &Notebook, program: &Program) -> Self {
        let mut provenance = Self {
            notebook: notebook.path.display().to_string(),
            code_hash: notebook.code_hash(),
            program: program.key.clone(),
            versions: Some(program.versions.clone()),
            offmodel: env!("CARGO_PKG_VERSION").to_owned(),
            git: GitState::of(notebook.folder()),
            host: String::new(),
            cores: 0,
            device: String::new(),
            processor: String::new(),
            gpus: Vec::new(),
        };
        provenance.set_machine(Machine::current());
        provenance
    }

    /// Records the machine that the attempt runs on; a node of a cluster differs from the machine
    /// of the runner.
    pub fn set_machine(&mut self, machine: Machine) {
        let device = if machine.gpus.is_empty() {
            "cpu"
        } else {
            "cuda"
        };
        self.host = machine.host;
        self.cores = machine.cores;
        self.device = device.to_owned();
        self.processor = machine.processor;
        self.gpus = machine.gpus;
    }
}

/// The hardware of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The host name.
    pub host: String,
    /// Logical cores that this process may use.
    pub cores: usize,
    /// The processor's model; empty if the system does not say.
    pub processor: String,
    /// The models of the GPUs, by number.
    pub gpus: Vec<String>,
}

impl Machine {
    /// The machine that this process runs on.
    pub fn current() -> Self {
        Self {
            host: process::host_name(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: fs::read_to_string("/proc/cpuinfo")
                .ok()
                .and_then(|text| field(&text, "model name"))
                .unwrap_or_default(),
            gpus: gpus(Path::new("/dev"), Path::new("/proc/driver/nvidia/gpus")),
        }
    }
}

/// The models of the devices `nvidia0`, `nvidia1`, ... in `devices`, as the driver's folder in
/// `/proc` names them.
fn gpus(devices: &Path, driver: &Path) -> Vec<String> {
    let models: BTreeMap<usize, String> = fs::read_dir(driver)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("information")).ok())
        .filter_map(|text| {
            let number = field(&text, "Device Minor")?.parse().ok()?;
            Some((number, field(&text, "Model")?))
        })
        .collect();
    let unnamed = || "NVIDIA GPU of an unknown model".to_owned();
    gpu_numbers(devices)
        .iter()
        .map(|number| models.get(number).cloned().unwrap_or_else(unnamed))
        .collect()
}

/// The numbers of the NVIDIA devices in `devices` (`/dev`), ascending.
pub fn gpu_numbers(devices: &Path) -> Vec<usize> {
    let mut numbers: Vec<usize> = fs::read_dir(devices)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_prefix("nvidia")?.parse().ok()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The value in the line `name : value` of a file in `/proc`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
}

impl GitState {
    /// The state of the repository that `folder` lies in; none without a repository or git.
    pub fn of(folder: &Path) -> Option<Self> {
        let revision = git(folder, &["rev-parse", "HEAD"])?;
        let top = git(folder, &["rev-parse", "--show-toplevel"])?;
        let top = PathBuf::from(String::from_utf8_lossy(&top).trim());
        let changes = git(&top, &["diff", "HEAD"])?;
        let untracked = git(&top, &["ls-files", "--others", "--exclude-standard", "-z"])?;
        let mut sweeps = SweepFolders::default();
        let untracked: Vec<PathBuf> = untracked
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| top.join(std::ffi::OsStr::from_bytes(name)))
            .filter(|path| !sweeps.contains(path, &top))
            .collect();
        Some(Self {
            revision: String::from_utf8_lossy(&revision).trim().to_owned(),
            changes: (!changes.is_empty() || !untracked.is_empty())
                .then(|| hash_of_changes(&changes, &top, &untracked)),
        })
    }
}

/// Recognises files in sweeps' folders; a sweep may hold thousands, so each folder is looked at
/// once.
#[derive(Debug, Default)]
struct SweepFolders {
    known: BTreeMap<PathBuf, bool>,
}

impl SweepFolders {
    fn contains(&mut self, path: &Path, top: &Path) -> bool {
        path.ancestors()
            .skip(1)
            .take_while(|folder| folder.starts_with(top))
            .any(|folder| match self.known.get(folder) {
                Some(known) => *known,
                None => {
                    let is_sweep = folder.join("submission.json").is_file();
                    self.known.insert(folder.to_owned(), is_sweep);
                    is_sweep
                }
            })
    }
}

/// The first 16 hexadecimal digits of a hash of the diff and the untracked files.
fn hash_of_changes(diff: &[u8], top: &Path, untracked: &[PathBuf]) -> String {
    /// Larger files are data rather than code; of these, length and modification time count.
    const MAX_READ_BYTES: u64 = 16 << 20;
    let mut hash = Sha256::new();
    hash.update(diff);
    for path in untracked {
        let name = path.strip_prefix(top).unwrap_or(path).as_os_str();
        hash.update([0]);
        hash.update(name.as_bytes());
        hash.update([0]);
        let Ok(metadata) = fs::metadata(path) else {
            continue;
        };
        hash.update(metadata.len().to_le_bytes());
        let mut content = Vec::new();
        if metadata.len() > MAX_READ_BYTES || !metadata.is_file() {
            hash.update(metadata.mtime().to_le_bytes());
        } else if File::open(path)
            .and_then(|file| file.take(MAX_READ_BYTES).read_to_end(&mut content))
            .is_ok()
        {
            hash.update(&content);
        }
    }
    digest::hexadecimal(hash)[..16].to_owned()
}

fn git(folder: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| assert!(git(folder.path(), arguments).is_some());
        run(&["init", "-q"]);
        fs::write(folder.path().join("code.rs"), "1").unwrap();
        run(&["add", "."]);
        let name = ["-c", "user.name=n", "-c", "user.email=e"];
        run(&[&name[..], &["commit", "-qm", "first"]].concat());
        folder
    }

    #[test]
    fn changes_count_in_tracked_and_untracked_files_but_not_in_sweeps() {
        let folder = repository();
        let changes = || GitState::of(folder.path()).unwrap().changes;
        assert_eq!(changes(), None);
        fs::write(folder.path().join("code.rs"), "2").unwrap();
        let changed = changes();
        assert!(changed.is_some());
        fs::write(folder.path().join("new.rs"), "1").unwrap();
        let with_new = changes();
        assert_ne!(with_new, changed);
        fs::write(folder.path().join("new.rs"), "2").unwrap();
        assert_ne!(changes(), with_new);
        fs::remove_file(folder.path().join("new.rs")).unwrap();
        let sweep = folder.path().join("runs/s");
        fs::create_dir_all(sweep.join("trial-a")).unwrap();
        fs::write(sweep.join("submission.json"), "{}").unwrap();
        fs::write(sweep.join("trial-a/result.json"), "{}").unwrap();
        assert_eq!(changes(), changed);
    }

    #[test]
    fn gpus_have_the_models_that_the_driver_names() {
        let folder = tempfile::tempdir().unwrap();
        let (devices, driver) = (folder.path().join("dev"), folder.path().join("driver"));
        fs::create_dir_all(&devices).unwrap();
        for name in ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"] {
            fs::write(devices.join(name), "").unwrap();
        }
        let bus = driver.join("0000:01:00.0");
        fs::create_dir_all(&bus).unwrap();
        let text = "Model: \t\t NVIDIA H100 80GB HBM3\nDevice Minor: \t 1\n";
        fs::write(bus.join("information"), text).unwrap();
        assert_eq!(
            gpus(&devices, &driver),
            ["NVIDIA GPU of an unknown model", "NVIDIA H100 80GB HBM3"]
        );
    }
}
