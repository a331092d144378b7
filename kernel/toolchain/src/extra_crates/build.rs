use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cargo::{self, CancellationToken, Ended, TARGET};
use super::entry::{ExtraCrates, Record, content_key, publish};
use super::manifest::{key, write_package};
use super::prelude_crates::version_in_prelude;
use super::request::CrateRequest;
use crate::Toolchain;

/// Beside the prelude: what `cargo clean` removes with it.
const CACHE: &str = "further-crates";
/// In the cache: what Cargo builds, shared by all entries, so that one crate more costs only
/// itself. Cargo's own lock on it puts builds of several processes in order.
const BUILT: &str = "target";

/// Why crates could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtraCratesError {
    /// Cargo does not know them, or they do not compile.
    #[error("{reason}")]
    Cargo {
        /// Cargo's own words.
        reason: String,
    },
    /// A crate that is a program only.
    #[error("`{name}` has no library that a cell could use")]
    NoLibrary {
        /// The crate's name in cells.
        name: String,
    },
    /// Someone asked the build to stop.
    #[error("interrupted")]
    Cancelled,
    /// Files could not be written or Cargo not started.
    #[error("failed to build further crates in {}: {source}", folder.display())]
    Files {
        /// The folder that they are built in.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Toolchain {
    /// Builds crates, or finds them built. Of two requests of one name, the later counts; those
    /// that the [prelude has](version_in_prelude) need nothing.
    ///
    /// `progress` hears what Cargo does. `stop`, if given, ends that within a few hundredths of a
    /// second; what was built so far is kept, and nothing of it counts as built that is not.
    ///
    /// # Errors
    /// When Cargo cannot find or compile them, in its own words, or was stopped.
    pub fn extra_crates(
        &self,
        requests: &[CrateRequest],
        stop: Option<&CancellationToken>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<ExtraCrates, ExtraCratesError> {
        let mut wanted: Vec<CrateRequest> = Vec::new();
        for request in requests {
            wanted.retain(|known| known.name() != request.name());
            if version_in_prelude(request.name()).is_none() {
                wanted.push(request.clone());
            }
        }
        if wanted.is_empty() {
            return Ok(ExtraCrates::default());
        }
        let cache = self.prelude.parent().unwrap_or(Path::new("/")).join(CACHE);
        let files = |source| ExtraCratesError::Files {
            folder: cache.clone(),
            source,
        };
        let key = key(&wanted, self).map_err(files)?;
        let is_local = wanted.iter().any(CrateRequest::is_local);
        if !is_local && let Some(built) = ExtraCrates::read(&cache.join(&key)) {
            return Ok(built);
        }
        // One package for every key: Cargo finds it as it was, and its lock with it.
        let package = cache.join(format!("package-{key}"));
        prepare(&wanted, &cache, &package).map_err(files)?;
        let built = build(self, &package, &cache, stop, progress)?;
        let key = if is_local {
            content_key(&key, &built.libraries).map_err(files)?
        } else {
            key
        };
        let entry = publish(&built.record, &built.libraries, &cache, &key).map_err(files)?;
        ExtraCrates::read(&entry).ok_or_else(|| files(io::ErrorKind::NotFound.into()))
    }
}

/// The package appears whole; one that is there keeps its lock file.
fn prepare(requests: &[CrateRequest], cache: &Path, package: &Path) -> io::Result<()> {
    if package.is_dir() {
        return Ok(());
    }
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    let temporary = cache.join(format!(".{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&temporary);
    fs::create_dir_all(&temporary)?;
    write_package(requests, &temporary)?;
    match fs::rename(&temporary, package) {
        // Another process was first.
        Err(_) if package.is_dir() => fs::remove_dir_all(&temporary),
        other => other,
    }
}

struct Built {
    record: Record,
    /// All libraries that a compiler call may load.
    libraries: Vec<PathBuf>,
}

fn build(
    toolchain: &Toolchain,
    package: &Path,
    cache: &Path,
    stop: Option<&CancellationToken>,
    progress: &mut dyn FnMut(&str),
) -> Result<Built, ExtraCratesError> {
    let mut run = |command| -> Result<Vec<String>, ExtraCratesError> {
        match cargo::run(command, stop, progress) {
            Ok(Ended::Succeeded { stdout }) => Ok(stdout),
            Ok(Ended::Failed { reason }) => Err(ExtraCratesError::Cargo { reason }),
            Ok(Ended::Stopped) => Err(ExtraCratesError::Cancelled),
            Err(source) => Err(ExtraCratesError::Files {
                folder: package.to_owned(),
                source,
            }),
        }
    };
    let mut command = cargo::command(toolchain, package, "build");
    command
        .args(["--message-format", "json-render-diagnostics"])
        .args(["--target", TARGET])
        .arg("--target-dir")
        .arg(cache.join(BUILT));
    let messages = parsed::<Message>(&run(command)?);
    let mut command = cargo::command(toolchain, package, "metadata");
    command
        .args(["--format-version", "1", "--offline"])
        .args(["--filter-platform", TARGET]);
    let metadata = parsed::<Metadata>(&run(command)?);
    let direct = metadata
        .into_iter()
        .next()
        .map(|metadata| metadata.resolve.direct())
        .unwrap_or_default();
    sort_out(&messages, direct)
}

fn sort_out(messages: &[Message], direct: Vec<Dependency>) -> Result<Built, ExtraCratesError> {
    let libraries: Vec<(&str, &Path)> = messages
        .iter()
        .filter(|message| message.reason == "compiler-artifact")
        .filter_map(|message| Some((message.package_id.as_str(), message.library()?)))
        .collect();
    let mut crates = Vec::new();
    for Dependency { name, pkg } in direct {
        let library = libraries.iter().find(|(package, _)| *package == pkg);
        let Some((_, library)) = library else {
            return Err(ExtraCratesError::NoLibrary { name });
        };
        let file = library.file_name().unwrap_or_default().to_string_lossy();
        crates.push((name, file.into_owned()));
    }
    let native = messages
        .iter()
        .flat_map(|message| message.linked_paths.clone())
        .collect();
    Ok(Built {
        record: Record::new(crates, native),
        libraries: libraries
            .iter()
            .map(|(_, library)| library.to_path_buf())
            .collect(),
    })
}

/// The lines that are what is asked for: Cargo may write others.
fn parsed<T: DeserializeOwned>(lines: &[String]) -> Vec<T> {
    lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// One of Cargo's messages, of its fields those used here.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    #[serde(default)]
    linked_paths: Vec<String>,
}

impl Message {
    /// The library for cells, or the macro; not what was built for macros and build scripts.
    fn library(&self) -> Option<&Path> {
        self.filenames.iter().map(PathBuf::as_path).find(|file| {
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("so") => true,
                Some("rlib") => file.components().any(|part| part.as_os_str() == TARGET),
                _ => false,
            }
        })
    }
}

/// `cargo metadata`, of its fields those used here.
#[derive(Debug, Deserialize)]
struct Metadata {
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    root: String,
    nodes: Vec<Node>,
}

impl Resolve {
    fn direct(self) -> Vec<Dependency> {
        let root = self.root;
        self.nodes
            .into_iter()
            .find(|node| node.id == root)
            .map(|node| node.deps)
            .unwrap_or_default()
    }
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    /// As cells write it.
    name: String,
    pkg: String,
}
