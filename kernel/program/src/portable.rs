//! A notebook as a folder that runs on a machine without Rust.
//!
//! ```text
//! FOLDER/run              starts the notebook: ./run -p NAME=VALUE -o OUT.ipynb
//! FOLDER/notebook.ipynb   the notebook, without outputs
//! FOLDER/program          the compiled notebook
//! FOLDER/lib/             the prelude, libtorch, and what these need beyond the system's own
//! FOLDER/bin/offmodel     the runner, which also sweeps over the notebook and reports
//! FOLDER/versions.json    what the program was made of
//! FOLDER/build.json       written last: what this is
//! ```
//!
//! All paths in it are relative: it can be moved and copied.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use offmodel_toolchain::Toolchain;
use serde::{Deserialize, Serialize};

use crate::compile::{CompileError, Identity, compile_portable};
use crate::elf::{Dynamic, search_own_folder};
use crate::{Cache, Notebook, Program, Versions};

/// The version of `build.json`.
pub const BUILD_VERSION: u64 = 1;

const BUILD: &str = "build.json";
const NOTEBOOK: &str = "notebook.ipynb";
const PROGRAM: &str = "program";
const LIBRARIES: &str = "lib";

/// libtorch's part for NVIDIA devices, which is loaded at run time where it is present.
const CUDA: &str = "libtorch_cuda.so";

const LAUNCHER: &str = r#"#!/bin/sh
# Runs the notebook: ./run -p NAME=VALUE -o OUT.ipynb; ./run --help tells more.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P) || exit 1
exec "$here/bin/offmodel" run "$here/notebook.ipynb" "$@"
"#;

/// A folder's `build.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Of this structure.
    pub version: u64,
    /// The notebook's code, as [`Notebook::code_hash`] has it.
    pub code_hash: String,
    /// The program's name: source, compiler and prelude.
    pub program: String,
    /// The version of offmodel.
    pub offmodel: String,
    /// The libraries in the folder.
    pub libraries: Vec<String>,
    /// Libraries that the machine must have itself.
    pub system: Vec<String>,
}

/// Why a folder was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The notebook does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// There is something where the folder is to be.
    #[error("{} exists and was not built by offmodel; choose another folder", folder.display())]
    Occupied {
        /// The folder.
        folder: PathBuf,
    },
    /// Data that would have to be carried to a place outside of the folder.
    #[error("{} does not lie in the notebook's folder, so that the notebook would not find it in the built one", path.display())]
    Outside {
        /// The file or folder.
        path: PathBuf,
    },
    /// A library or program cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Builds the folder: beside its name, renamed when it is whole. An earlier build of the same
/// name is replaced. `runner` is the program `offmodel`; `data` are files and folders that lie in
/// the notebook's folder and are carried along.
///
/// # Errors
/// When the notebook does not compile, or a file cannot be read or written.
pub fn build(
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
    runner: &Path,
    data: &[PathBuf],
    folder: &Path,
) -> Result<Build, BuildError> {
    if folder.exists() && !folder.join(BUILD).is_file() && !is_empty(folder) {
        return Err(BuildError::Occupied {
            folder: folder.to_owned(),
        });
    }
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(unwritable(parent))?;
    let workplace = tempfile::Builder::new()
        .prefix(".building-")
        .tempdir_in(parent)
        .map_err(unwritable(parent))?;
    let whole = workplace.path().join("whole");
    let build = fill(notebook, toolchain, cache, runner, data, &whole)?;
    replace(&whole, folder, workplace.path()).map_err(unwritable(folder))?;
    Ok(build)
}

/// The program of a notebook that lies in a built folder; `None` if it does not, or has changed
/// since it was built.
pub fn built_program(notebook: &Notebook) -> Option<Program> {
    let folder = notebook.folder();
    let text = fs::read_to_string(folder.join(BUILD)).ok()?;
    let build: Build = serde_json::from_str(&text).ok()?;
    let is_same = build.version == BUILD_VERSION && build.code_hash == notebook.code_hash();
    let executable = std::path::absolute(folder.join(PROGRAM)).ok()?;
    let versions = Versions::read(folder)?;
    (is_same && executable.is_file()).then_some(Program {
        executable,
        key: build.program,
        compiled_in: None,
        versions,
    })
}

fn fill(
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
    runner: &Path,
    data: &[PathBuf],
    folder: &Path,
) -> Result<Build, BuildError> {
    let libraries = folder.join(LIBRARIES);
    for folder in [&libraries, &folder.join("bin")] {
        fs::create_dir_all(folder).map_err(unwritable(folder))?;
    }
    let compiling = folder.join("compiling");
    fs::create_dir(&compiling).map_err(unwritable(&compiling))?;
    let Identity { key, versions } = compile_portable(notebook, toolchain, cache, &compiling)?;
    versions.write(folder).map_err(unwritable(folder))?;
    // Others may be meant to run it.
    let told = folder.join("versions.json");
    fs::set_permissions(&told, fs::Permissions::from_mode(0o644)).map_err(unwritable(&told))?;
    let program = folder.join(PROGRAM);
    fs::rename(compiling.join(PROGRAM), &program).map_err(unwritable(&program))?;
    fs::remove_dir_all(&compiling).map_err(unwritable(&compiling))?;
    let Closure { found, system } = closure(&program, toolchain)?;
    for (name, source) in &found {
        let target = libraries.join(name);
        copy(source, &target)?;
        // Copies are ours to change, whatever the originals are.
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755))
            .map_err(unwritable(&target))?;
        search_own_folder(&target).map_err(unwritable(&target))?;
    }
    let own = folder.join("bin/offmodel");
    copy(runner, &own)?;
    search_own_folder(&own).map_err(unwritable(&own))?;
    for path in data {
        let relative = path.strip_prefix(notebook.folder()).unwrap_or(path);
        let is_inside = relative
            .components()
            .all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
        if !is_inside {
            return Err(BuildError::Outside { path: path.clone() });
        }
        copy_all(&notebook.folder().join(relative), &folder.join(relative))?;
    }
    let launcher = folder.join("run");
    write(&launcher, LAUNCHER.as_bytes())?;
    fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755))
        .map_err(unwritable(&launcher))?;
    let path = folder.join(NOTEBOOK);
    let document = nbformat::Notebook::V4(notebook.document.clone());
    let text = nbformat::serialize_notebook(&document)
        .map_err(|error| unwritable(&path)(io::Error::other(error.to_string())))?;
    write(&path, text.as_bytes())?;
    let build = Build {
        version: BUILD_VERSION,
        code_hash: notebook.code_hash(),
        program: key,
        offmodel: env!("CARGO_PKG_VERSION").to_owned(),
        libraries: found.into_keys().collect(),
        system,
    };
    let path = folder.join(BUILD);
    let text = serde_json::to_vec_pretty(&build).map_err(io::Error::other);
    write(&path, &text.map_err(unwritable(&path))?)?;
    Ok(build)
}

/// The libraries that a program needs, and those that these need.
struct Closure {
    /// By the name under which they are needed.
    found: BTreeMap<String, PathBuf>,
    /// Those that are neither ours nor libtorch's.
    system: Vec<String>,
}

fn closure(program: &Path, toolchain: &Toolchain) -> Result<Closure, BuildError> {
    let prelude = toolchain.prelude.parent().unwrap_or(Path::new("/"));
    let ours = [prelude.to_owned(), toolchain.libtorch_lib.clone()];
    let mut found = BTreeMap::new();
    let mut system = Vec::new();
    let mut waiting = VecDeque::from([program.to_owned()]);
    let cuda = toolchain.libtorch_lib.join(CUDA);
    if cuda.exists() {
        found.insert(CUDA.to_owned(), cuda.clone());
        waiting.push_back(cuda);
    }
    while let Some(path) = waiting.pop_front() {
        // Where links lead: a library finds its neighbours from there.
        let path = path.canonicalize().map_err(unreadable(&path))?;
        let dynamic = Dynamic::read(&path).map_err(unreadable(&path))?;
        for name in &dynamic.needed {
            if found.contains_key(name) || system.contains(name) {
                continue;
            }
            let folders = ours.iter().cloned().chain(dynamic.folders(&path));
            let library = folders
                .map(|folder| folder.join(name))
                .find(|library| library.is_file() && !is_of_the_system(library));
            match library {
                Some(library) => {
                    found.insert(name.clone(), library.clone());
                    waiting.push_back(library);
                }
                None => system.push(name.clone()),
            }
        }
    }
    system.sort();
    Ok(Closure { found, system })
}

/// The C library and its like must be those of the machine that runs the program.
fn is_of_the_system(library: &Path) -> bool {
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64"]
        .iter()
        .any(|folder| library.starts_with(folder))
}

/// Puts a folder in the place of another one, which may exist.
fn replace(whole: &Path, folder: &Path, workplace: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::rename(folder, workplace.join("replaced"))?;
    }
    fs::rename(whole, folder)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn copy_all(source: &Path, target: &Path) -> Result<(), BuildError> {
    if !source.is_dir() {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(unwritable(folder))?;
        }
        return copy(source, target);
    }
    fs::create_dir_all(target).map_err(unwritable(target))?;
    for entry in fs::read_dir(source).map_err(unreadable(source))? {
        let entry = entry.map_err(unreadable(source))?;
        copy_all(&entry.path(), &target.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy(source: &Path, target: &Path) -> Result<(), BuildError> {
    // Opened first, so that it is clear which of the two is at fault.
    fs::File::open(source).map_err(unreadable(source))?;
    fs::copy(source, target).map_err(unwritable(target))?;
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<(), BuildError> {
    fs::write(path, content).map_err(unwritable(path))
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::Write { path, source }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::Read { path, source }
}
