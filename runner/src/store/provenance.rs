use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use offmodel_program::{Notebook, Program, Versions};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where an attempt's code and environment came from. Holds no environment variables: they may
/// be secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The notebook's path as given.
    pub notebook: String,
    /// A hash over its executed cells.
    pub code_hash: String,
    /// The compiled program: source, compiler and prelude.
    pub program: String,
    /// What that program was made of, by content.
    #[serde(default)]
    pub versions: Option<Versions>,
    /// The version of offmodel.
    pub offmodel: String,
    /// The state of the notebook's git repository, if it lies in one.
    pub git: Option<GitState>,
    /// The machine's name.
    pub host: String,
    /// Its logical cores.
    pub cores: usize,
    /// `cuda` if an NVIDIA device is present, else `cpu`.
    pub device: String,
    /// The model of its processors.
    #[serde(default)]
    pub processor: String,
    /// The models of its GPUs, by their number.
    #[serde(default)]
    pub gpus: Vec<String>,
}

/// The state of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitState {
    /// The commit.
    pub revision: String,
    /// A hash of what is otherwise now, if anything is: changes to files of the commit, and files
    /// that git neither knows nor ignores, except those in folders of sweeps.
    pub changes: Option<String>,
}

impl Provenance {
    /// Of a notebook on this machine, now.
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
        provenance.move_to(Machine::this());
        provenance
    }

    /// The attempt runs on another machine: a node of a cluster.
    pub fn move_to(&mut self, machine: Machine) {
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

/// What a machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// Logical cores that this process may use.
    pub cores: usize,
    /// The model of its processors, empty where the system does not tell.
    pub processor: String,
    /// The models of its GPUs, by their number.
    pub gpus: Vec<String>,
}

impl Machine {
    /// The one that this process runs on.
    pub fn this() -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            host: host.trim().to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: fs::read_to_string("/proc/cpuinfo")
                .ok()
                .and_then(|text| field(&text, "model name"))
                .unwrap_or_default(),
            gpus: gpus(Path::new("/dev"), Path::new("/proc/driver/nvidia/gpus")),
        }
    }
}

/// One entry for every device file `nvidia0`, `nvidia1`, ..., with the model that the driver gives
/// for it.
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

/// The numbers of the NVIDIA devices in a folder like `/dev`, ascending.
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

/// The value of a line `name   : value`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(own, _)| own.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
}

impl GitState {
    /// Of the repository that a folder lies in; `None` without one, or without git.
    pub fn of(folder: &Path) -> Option<Self> {
        let revision = git(folder, &["rev-parse", "HEAD"])?;
        let top = git(folder, &["rev-parse", "--show-toplevel"])?;
        let top = PathBuf::from(String::from_utf8_lossy(&top).trim());
        let changes = git(&top, &["diff", "HEAD"])?;
        let unknown = git(&top, &["ls-files", "--others", "--exclude-standard", "-z"])?;
        let mut sweeps = Sweeps::default();
        let unknown: Vec<PathBuf> = unknown
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| top.join(std::ffi::OsStr::from_bytes(name)))
            .filter(|path| !sweeps.contain(path, &top))
            .collect();
        Some(Self {
            revision: String::from_utf8_lossy(&revision).trim().to_owned(),
            changes: (!changes.is_empty() || !unknown.is_empty())
                .then(|| hash_of_changes(&changes, &top, &unknown)),
        })
    }
}

/// Folders that hold sweeps' results, found out once for each.
#[derive(Debug, Default)]
struct Sweeps {
    known: BTreeMap<PathBuf, bool>,
}

impl Sweeps {
    fn contain(&mut self, path: &Path, top: &Path) -> bool {
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

fn hash_of_changes(changes: &[u8], top: &Path, unknown: &[PathBuf]) -> String {
    /// Larger files are data rather than code: length and time must do.
    const READ: u64 = 16 << 20;
    let mut hash = Sha256::new();
    hash.update(changes);
    for path in unknown {
        let name = path.strip_prefix(top).unwrap_or(path).as_os_str();
        hash.update([0]);
        hash.update(name.as_bytes());
        hash.update([0]);
        let Ok(metadata) = fs::metadata(path) else {
            continue;
        };
        hash.update(metadata.len().to_le_bytes());
        let mut content = Vec::new();
        if metadata.len() > READ || !metadata.is_file() {
            hash.update(metadata.mtime().to_le_bytes());
        } else if File::open(path)
            .and_then(|file| file.take(READ).read_to_end(&mut content))
            .is_ok()
        {
            hash.update(&content);
        }
    }
    format!("{:x}", hash.finalize())[..16].to_owned()
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
    fn changes_are_those_of_known_and_of_unknown_files_but_not_of_results() {
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
    fn gpus_have_the_models_that_the_driver_tells() {
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
