//! Builds a portable folder, and finds the program of a notebook that is in one.
//!
//! ```text
//! FOLDER/run              starts the notebook: ./run -p NAME=VALUE -o OUT.ipynb
//! FOLDER/notebook.ipynb   the notebook, without outputs
//! FOLDER/program          the compiled notebook
//! FOLDER/lib/             the prelude, libtorch, and the libraries that these need
//! FOLDER/bin/offmodel     the runner, which also runs sweeps of the notebook and reports on them
//! FOLDER/versions.json    the inputs of the program
//! FOLDER/build.json       marks the folder as built by offmodel; written last
//! ```
//!
//! All paths in the folder are relative, so that it can be moved and copied.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use offmodel_support::atomic_file;
use offmodel_toolchain::Toolchain;
use serde::{Deserialize, Serialize};

use super::elf::search_own_folder;
use super::libraries::{Libraries, find_libraries};
use crate::cache::Cache;
use crate::compile::{Identity, Program, compile_portable};
use crate::errors::CompileError;
use crate::notebook::Notebook;
use crate::versions::Versions;

/// The format version of `build.json`.
pub const BUILD_VERSION: u64 = 1;

const BUILD_FILE: &str = "build.json";
const NOTEBOOK_FILE: &str = "notebook.ipynb";
const PROGRAM_FILE: &str = "program";
const LIBRARY_FOLDER: &str = "lib";

const LAUNCHER: &str = r#"#!/bin/sh
# Runs the notebook: ./run -p NAME=VALUE -o OUT.ipynb (all options: ./run --help)
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P) || exit 1
exec "$here/bin/offmodel" run "$here/notebook.ipynb" "$@"
"#;

/// The content of `build.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Format version; readers ignore files of another one.
    pub version: u64,
    /// [`Notebook::code_hash`] of the notebook.
    pub code_hash: String,
    /// [`Program::key`] of the program.
    pub program: String,
    /// The version of offmodel.
    pub offmodel: String,
    /// The names of the libraries in the folder.
    pub libraries: Vec<String>,
    /// The names of the libraries that the machine itself must have.
    pub system: Vec<String>,
}

/// Why a folder was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The notebook does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Something else is at the folder's path.
    #[error("{} exists and was not built by offmodel; choose another folder", folder.display())]
    Occupied {
        /// The folder.
        folder: PathBuf,
    },
    /// A data file is outside of the notebook's folder, so its relative path would lead out of the
    /// built one.
    #[error("{} is not in the notebook's folder, so the notebook in the built folder would not find it; move it there", path.display())]
    Outside {
        /// The file or folder.
        path: PathBuf,
    },
    /// A library or program cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Builds the folder, which replaces an earlier build at the same path.
///
/// `runner` is the executable `offmodel`. `data` are files and folders in the notebook's folder that
/// are copied along. The folder is filled under a temporary name and renamed when it is complete.
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
    if folder.exists() && !folder.join(BUILD_FILE).is_file() && !is_empty(folder) {
        return Err(BuildError::Occupied {
            folder: folder.to_owned(),
        });
    }
    let parent = atomic_file::parent(folder);
    fs::create_dir_all(parent).map_err(unwritable(parent))?;
    let work_folder = tempfile::Builder::new()
        .prefix(".building-")
        .tempdir_in(parent)
        .map_err(unwritable(parent))?;
    let complete = work_folder.path().join("complete");
    let build = fill(notebook, toolchain, cache, runner, data, &complete)?;
    replace(&complete, folder, work_folder.path()).map_err(unwritable(folder))?;
    Ok(build)
}

/// The program of a notebook in a built folder; none if the notebook is elsewhere or has changed
/// since the folder was built.
pub fn built_program(notebook: &Notebook) -> Option<Program> {
    let folder = notebook.folder();
    let text = fs::read_to_string(folder.join(BUILD_FILE)).ok()?;
    let build: Build = serde_json::from_str(&text).ok()?;
    let is_same = build.version == BUILD_VERSION && build.code_hash == notebook.code_hash();
    let executable = std::path::absolute(folder.join(PROGRAM_FILE)).ok()?;
    let versions = Versions::read(folder)?;
    (is_same && executable.is_file()).then_some(Program {
        executable,
        key: build.program,
        compiled_in: None,
        versions,
    })
}

/// Writes the files of the folder; `build.json` last.
fn fill(
    notebook: &Notebook,
    toolchain: &Toolchain,
    cache: &Cache,
    runner: &Path,
    data: &[PathBuf],
    folder: &Path,
) -> Result<Build, BuildError> {
    let libraries = folder.join(LIBRARY_FOLDER);
    for folder in [&libraries, &folder.join("bin")] {
        fs::create_dir_all(folder).map_err(unwritable(folder))?;
    }
    let compiling = folder.join("compiling");
    fs::create_dir(&compiling).map_err(unwritable(&compiling))?;
    let Identity { key, versions } = compile_portable(notebook, toolchain, cache, &compiling)?;
    versions.write(folder).map_err(unwritable(folder))?;
    let program = folder.join(PROGRAM_FILE);
    fs::rename(compiling.join(PROGRAM_FILE), &program).map_err(unwritable(&program))?;
    fs::remove_dir_all(&compiling).map_err(unwritable(&compiling))?;
    let Libraries { found, system } =
        find_libraries(&program, toolchain).map_err(|(path, source)| unreadable(&path)(source))?;
    for (name, source) in &found {
        let target = libraries.join(name);
        copy(source, &target)?;
        // A copy of a read-only library is read-only, but its search path must be changed.
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755))
            .map_err(unwritable(&target))?;
        search_own_folder(&target).map_err(unwritable(&target))?;
    }
    let runner_copy = folder.join("bin/offmodel");
    copy(runner, &runner_copy)?;
    search_own_folder(&runner_copy).map_err(unwritable(&runner_copy))?;
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
    let path = folder.join(NOTEBOOK_FILE);
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
    let path = folder.join(BUILD_FILE);
    let text = serde_json::to_vec_pretty(&build).map_err(io::Error::other);
    write(&path, &text.map_err(unwritable(&path))?)?;
    Ok(build)
}

/// Moves `complete` to `folder`. What is there already ends up in the work folder and is removed
/// with it.
///
/// Not `offmodel_support::atomic_folder`: an earlier build holds data files under any name, and
/// there is no telling them from foreign ones.
fn replace(complete: &Path, folder: &Path, work_folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::rename(folder, work_folder.join("replaced"))?;
    }
    fs::rename(complete, folder)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Copies a file, or a folder with everything in it.
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
    // Open the source first: the error of `fs::copy` does not say which of the two failed.
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
