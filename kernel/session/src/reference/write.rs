//! One run of rustdoc for a prelude, kept in two files beside it: what its pages say, and where
//! in that file which page is.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use offmodel_toolchain::Toolchain;
use serde::{Deserialize, Serialize};

use super::Page;

const FOLDER: &str = "cell-reference";
pub(super) const NAMES: &str = "names.json";
pub(super) const PAGES: &str = "pages";
const CRATE: &str = "names";

/// A crate that holds every name of a cell's scope. The prelude's crates and the standard library
/// are there by re-export; primitive types get pages where a module says so, as in the standard
/// library's own source.
const SOURCE: &str = "\
#![feature(rustc_attrs, rustdoc_internals)]
#![allow(internal_features)]
#[doc(inline)]
pub use ::offmodel::prelude::*;
#[doc(inline)]
pub use ::std::prelude::rust_2024::*;
pub mod std {
    #[doc(inline)]
    pub use ::std::{
        cell, cmp, collections, env, f64, fmt, fs, io, iter, mem, num, ops, option, path, process,
        rc, result, slice, str, string, sync, thread, time, vec,
    };
}
";

/// The primitive types that have methods.
const PRIMITIVES: [&str; 19] = [
    "array", "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "slice",
    "str", "u8", "u16", "u32", "u64", "u128", "usize",
];

/// Why there is no reference.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// A file could not be written or read.
    #[error("failed to write the reference of names into {}", folder.display())]
    Folder {
        /// Where it was to be.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// rustdoc did not start or failed.
    #[error("rustdoc failed on the prelude: {reason}")]
    Rustdoc {
        /// The last lines that it wrote.
        reason: String,
    },
}

/// Where a page is in the file of pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Name {
    /// `DataFrame`, `std::collections::HashMap`
    pub path: String,
    /// `struct`, `fn`, `macro`, as rustdoc calls them.
    pub kind: String,
    pub start: u64,
    pub length: usize,
}

/// The folder of the reference of this prelude.
pub(super) fn folder(toolchain: &Toolchain) -> io::Result<PathBuf> {
    let beside = toolchain.prelude.parent().unwrap_or(Path::new("/"));
    Ok(beside.join(FOLDER).join(toolchain.prelude_version()?))
}

/// Writes the reference of the prelude, unless it is there: about 20 s of one core at low
/// priority. Of several processes that want it, one does the work and the others wait.
///
/// # Errors
/// When rustdoc fails, or the folder beside the prelude cannot be written.
pub fn write_reference(toolchain: &Toolchain) -> Result<(), ReferenceError> {
    let beside = toolchain.prelude.parent().unwrap_or(Path::new("/"));
    let all = beside.join(FOLDER);
    let failed = |source| ReferenceError::Folder {
        folder: all.clone(),
        source,
    };
    let folder = folder(toolchain).map_err(failed)?;
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(&all).map_err(failed)?;
    let lock = File::create(all.join(".lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if folder.is_dir() {
        return Ok(());
    }
    // Those of earlier builds, and what a process that was killed left.
    for entry in fs::read_dir(&all).map_err(failed)?.flatten() {
        let _ = fs::remove_dir_all(entry.path());
    }
    let work = tempfile::Builder::new()
        .prefix("work")
        .tempdir_in(&all)
        .map_err(failed)?;
    run_rustdoc(toolchain, work.path())?;
    let finished = work.path().join("finished");
    keep(&work.path().join("pages").join(CRATE), &finished)
        .and_then(|()| fs::rename(&finished, &folder))
        .map_err(failed)
}

fn run_rustdoc(toolchain: &Toolchain, work: &Path) -> Result<(), ReferenceError> {
    let mut source = SOURCE.to_owned();
    for primitive in PRIMITIVES {
        source.push_str(&format!(
            "#[rustc_doc_primitive = \"{primitive}\"]\n/// A primitive type.\nmod primitive_{primitive} {{}}\n"
        ));
    }
    let file = work.join("names.rs");
    let started = fs::write(&file, source).and_then(|()| {
        gently(toolchain.rustdoc_command())
            .args(["--crate-name", CRATE, "--cap-lints", "allow", "-o"])
            .arg(work.join("pages"))
            .arg(&file)
            // Three unstable features in a file of our own, of the compiler that built this
            // program: the attribute above, and rustdoc's own internals.
            .env("RUSTC_BOOTSTRAP", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output()
    });
    let failed = |reason: String| ReferenceError::Rustdoc { reason };
    let output = started.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    Err(failed(lines[lines.len().saturating_sub(5)..].join("\n")))
}

/// The command at the lowest priority, where the system has `nice`.
fn gently(command: Command) -> Command {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("nice"))
        .find(|path| path.is_file());
    let Some(nice) = found else { return command };
    let mut gentle = Command::new(nice);
    gentle
        .args(["-n", "19"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => gentle.env(name, value),
            None => gentle.env_remove(name),
        };
    }
    gentle
}

/// What rustdoc's pages in `pages` say, as two files in `folder`.
fn keep(pages: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut written = BufWriter::new(File::create(folder.join(PAGES))?);
    let mut names = Vec::new();
    let mut start = 0;
    for (path, kind, file) in files_of(pages)? {
        let page = Page::parse(&String::from_utf8_lossy(&fs::read(file)?));
        let bytes = serde_json::to_vec(&page)?;
        written.write_all(&bytes)?;
        names.push(Name {
            path,
            kind,
            start,
            length: bytes.len(),
        });
        start += bytes.len() as u64;
    }
    written.into_inner()?.sync_all()?;
    fs::write(folder.join(NAMES), serde_json::to_vec(&names)?)
}

/// Path, kind and file of every item, sorted by path: `std/vec/struct.Vec.html` is the `struct`
/// `std::vec::Vec`.
fn files_of(root: &Path) -> io::Result<Vec<(String, String, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), root.to_owned())];
    while let Some((module, folder)) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if entry.file_type()?.is_dir() {
                folders.push((format!("{module}{name}::"), entry.path()));
                continue;
            }
            let item = name
                .strip_suffix(".html")
                .and_then(|item| item.split_once('.'));
            // `macro.df!.html` only leads to `macro.df.html`.
            if let Some((kind, item)) = item.filter(|(_, item)| !item.ends_with('!')) {
                found.push((format!("{module}{item}"), kind.to_owned(), entry.path()));
            }
        }
    }
    found.sort();
    Ok(found)
}
