use std::io;
use std::path::{Path, PathBuf};

use offmodel_support::atomic_folder;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cargo::{self, CancellationToken, CargoOutcome};
use super::entry::{ExtraCrates, Record, content_key, publish};
use super::manifest::{key, write_package};
use super::prelude_crates::version_in_prelude;
use super::request::CrateRequest;
use crate::Toolchain;
use crate::sysroot::TARGET;

/// The cache, beside the prelude, so that `cargo clean` removes both.
const CACHE: &str = "further-crates";
/// Cargo's target folder in the cache. All entries share it, so one more crate costs only its own
/// build. Cargo locks it, which serialises the builds of several processes.
const CARGO_TARGET: &str = "target";

/// Why extra crates could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtraCratesError {
    /// Cargo does not find the crates, or they do not compile.
    #[error("{reason}")]
    Cargo {
        /// Cargo's error message.
        reason: String,
    },
    /// A crate consists of programs only.
    #[error("`{name}` has no library that a cell could use")]
    NoLibrary {
        /// The crate's name in cells.
        name: String,
    },
    /// The caller cancelled the build.
    #[error("interrupted")]
    Cancelled,
    /// Files could not be written, or Cargo could not be started.
    #[error("failed to build extra crates in {}: {source}", folder.display())]
    Files {
        /// The folder of the build.
        folder: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Toolchain {
    /// Builds crates, or finds them in the cache. A later request for a name replaces an earlier one;
    /// crates [in the prelude](version_in_prelude) need no build.
    ///
    /// `progress` receives Cargo's status lines, such as "Compiling itoa v1.0.19". Cancelling through
    /// `cancellation` kills Cargo within a few hundredths of a second; Cargo reuses what was finished
    /// by then.
    ///
    /// # Errors
    /// When Cargo cannot find or compile the crates, or the build was cancelled.
    pub fn extra_crates(
        &self,
        requests: &[CrateRequest],
        cancellation: Option<&CancellationToken>,
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
        // A package per key keeps its lock file, so a later build resolves to the same versions.
        let package = cache.join(format!("package-{key}"));
        atomic_folder::create_if_absent(&package, |folder| write_package(&wanted, folder))
            .map_err(|error| files(error.into()))?;
        let output = build(self, &package, &cache, cancellation, progress)?;
        let key = if is_local {
            content_key(&key, &output.libraries).map_err(files)?
        } else {
            key
        };
        let entry = publish(&output.record, &output.libraries, &cache, &key).map_err(files)?;
        ExtraCrates::read(&entry).ok_or_else(|| files(io::ErrorKind::NotFound.into()))
    }
}

struct BuildOutput {
    record: Record,
    /// All libraries that a compiler call may load.
    libraries: Vec<PathBuf>,
}

fn build(
    toolchain: &Toolchain,
    package: &Path,
    cache: &Path,
    cancellation: Option<&CancellationToken>,
    progress: &mut dyn FnMut(&str),
) -> Result<BuildOutput, ExtraCratesError> {
    let mut run = |command| -> Result<Vec<String>, ExtraCratesError> {
        match cargo::run(command, cancellation, progress) {
            Ok(CargoOutcome::Succeeded { stdout }) => Ok(stdout),
            Ok(CargoOutcome::Failed { reason }) => Err(ExtraCratesError::Cargo { reason }),
            Ok(CargoOutcome::Cancelled) => Err(ExtraCratesError::Cancelled),
            Err(source) => Err(ExtraCratesError::Files {
                folder: package.to_owned(),
                source,
            }),
        }
    };
    let mut command = cargo::command(toolchain, package, "build");
    command
        .args(["--message-format", "json-render-diagnostics"])
        // With an explicit target, Cargo puts libraries for cells and those for macros and build
        // scripts into different folders.
        .args(["--target", TARGET])
        .arg("--target-dir")
        .arg(cache.join(CARGO_TARGET));
    let messages = parse_lines::<Message>(&run(command)?);
    let mut command = cargo::command(toolchain, package, "metadata");
    command
        .args(["--format-version", "1", "--offline"])
        .args(["--filter-platform", TARGET]);
    let metadata = parse_lines::<Metadata>(&run(command)?);
    let direct = metadata
        .into_iter()
        .next()
        .map(|metadata| metadata.resolve.direct_dependencies())
        .unwrap_or_default();
    collect_libraries(&messages, direct)
}

/// Matches the direct dependencies with the libraries that Cargo reports.
fn collect_libraries(
    messages: &[Message],
    direct: Vec<Dependency>,
) -> Result<BuildOutput, ExtraCratesError> {
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
    Ok(BuildOutput {
        record: Record::new(crates, native),
        libraries: libraries
            .iter()
            .map(|(_, library)| library.to_path_buf())
            .collect(),
    })
}

/// The lines that are JSON of type `T`; Cargo and build scripts may print others.
fn parse_lines<T: DeserializeOwned>(lines: &[String]) -> Vec<T> {
    lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The fields used here of [Cargo's JSON messages].
///
/// [Cargo's JSON messages]: https://doc.rust-lang.org/cargo/reference/external-tools.html#json-messages
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
    /// The library that cells link, or the procedural macro that their compiler loads; not the
    /// libraries that macros and build scripts link.
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

/// The fields used here of the output of `cargo metadata`.
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
    fn direct_dependencies(self) -> Vec<Dependency> {
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
    /// The crate's name in cells.
    name: String,
    pkg: String,
}
