use std::path::Path;
use std::process::Command;

use offmodel_program::{Notebook, Program};
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
}

/// The state of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitState {
    /// The commit.
    pub revision: String,
    /// A hash of the changes since, if there are any.
    pub changes: Option<String>,
}

impl Provenance {
    /// Of a notebook on this machine, now.
    pub fn collect(notebook: &Notebook, program: &Program) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let has_gpu = Path::new("/dev/nvidia0").exists();
        Self {
            notebook: notebook.path.display().to_string(),
            code_hash: notebook.code_hash(),
            program: program.key.clone(),
            offmodel: env!("CARGO_PKG_VERSION").to_owned(),
            git: GitState::of(notebook.folder()),
            host: host.trim().to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            device: if has_gpu { "cuda" } else { "cpu" }.to_owned(),
        }
    }
}

impl GitState {
    /// Of the repository that a folder lies in; `None` without one, or without git.
    pub fn of(folder: &Path) -> Option<Self> {
        let revision = git(folder, &["rev-parse", "HEAD"])?;
        let changes = git(folder, &["diff", "HEAD"])?;
        Some(Self {
            revision: String::from_utf8_lossy(&revision).trim().to_owned(),
            changes: (!changes.is_empty())
                .then(|| format!("{:x}", Sha256::digest(&changes))[..16].to_owned()),
        })
    }
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
