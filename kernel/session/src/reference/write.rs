//! Writes the reference of a prelude: one file with all pages, and one with the position of each.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use offmodel_support::atomic_folder::{self, WriteFolderError};
use offmodel_toolchain::Toolchain;
use serde::{Deserialize, Serialize};

use super::page::Page;

/// The folder beside the prelude, with one folder for each build of it.
const FOLDER: &str = "cell-reference";
pub(super) const NAMES_FILE: &str = "names.json";
pub(super) const PAGES_FILE: &str = "pages";
const CRATE: &str = "names";

/// The source of a crate with every name that a cell can use. The prelude and the standard library
/// are in it by re-export. Primitive types get pages by an attribute on a module, as in the source
/// of the standard library.
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

/// The primitive types with methods.
const PRIMITIVES: [&str; 19] = [
    "array", "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "slice",
    "str", "u8", "u16", "u32", "u64", "u128", "usize",
];

/// Why the reference could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// A file could not be written or read.
    #[error("failed to write the reference of names into {}", folder.display())]
    Folder {
        /// The folder of all references.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// rustdoc did not start, or failed.
    #[error("rustdoc failed on the prelude: {reason}")]
    Rustdoc {
        /// The system's error, or the last lines that rustdoc wrote.
        reason: String,
    },
}

/// A name, and where its page is in the file of pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Name {
    /// `DataFrame`, `std::collections::HashMap`
    pub path: String,
    /// rustdoc's name for the kind of item: `struct`, `fn`, `macro`.
    pub kind: String,
    /// Byte offset of the page.
    pub start: u64,
    /// In bytes.
    pub length: usize,
}

/// The folder of the reference of a prelude, which exists if the reference is complete.
pub(super) fn reference_folder(toolchain: &Toolchain) -> io::Result<PathBuf> {
    let beside = toolchain.prelude.parent().unwrap_or(Path::new("/"));
    Ok(beside.join(FOLDER).join(toolchain.prelude_version()?))
}

/// Writes the reference of the prelude, unless it exists: about 20 s of one core at low priority.
/// If several processes call this at once, one does the work and the others wait for it.
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
    let folder = reference_folder(toolchain).map_err(failed)?;
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(&all).map_err(failed)?;
    let lock = File::create(all.join(".lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if folder.is_dir() {
        return Ok(());
    }
    // References of earlier builds, and remains of a killed process. The lock, a file, stays.
    for entry in fs::read_dir(&all).map_err(failed)?.flatten() {
        let _ = fs::remove_dir_all(entry.path());
    }
    let work = tempfile::Builder::new()
        .prefix("work")
        .tempdir_in(&all)
        .map_err(failed)?;
    run_rustdoc(toolchain, work.path())?;
    let pages = work.path().join("pages").join(CRATE);
    let is_ours = |name: &str| [NAMES_FILE, PAGES_FILE].contains(&name);
    atomic_folder::write(&folder, is_ours, |folder| write_pages(&pages, folder)).map_err(|error| {
        match error {
            WriteFolderError::Io(error) | WriteFolderError::Fill(error) => failed(error),
        }
    })
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
        at_low_priority(toolchain.rustdoc_command())
            .args(["--crate-name", CRATE, "--cap-lints", "allow", "-o"])
            .arg(work.join("pages"))
            .arg(&file)
            // The attributes above are unstable; the file is compiled by one fixed version only.
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
    /// The last lines of the output hold the error that ended rustdoc.
    const REPORTED_LINES: usize = 5;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.lines().collect();
    let reported = &lines[lines.len().saturating_sub(REPORTED_LINES)..];
    Err(failed(reported.join("\n")))
}

/// Wraps a command in `nice`, if the system has it: the user may be running cells.
fn at_low_priority(command: Command) -> Command {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("nice"))
        .find(|path| path.is_file());
    let Some(nice) = found else { return command };
    let mut wrapped = Command::new(nice);
    wrapped
        .args(["-n", "19"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

/// Extracts rustdoc's pages in `pages` into two files in `folder`.
fn write_pages(pages: &Path, folder: &Path) -> io::Result<()> {
    let mut written = BufWriter::new(File::create(folder.join(PAGES_FILE))?);
    let mut names = Vec::new();
    let mut start = 0;
    for (path, kind, file) in page_files(pages)? {
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
    fs::write(folder.join(NAMES_FILE), serde_json::to_vec(&names)?)
}

/// The path, kind and file of every item, sorted by path: `std/vec/struct.Vec.html` is the `struct`
/// `std::vec::Vec`.
fn page_files(root: &Path) -> io::Result<Vec<(String, String, PathBuf)>> {
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
            // `macro.df!.html` only redirects to `macro.df.html`.
            if let Some((kind, item)) = item.filter(|(_, item)| !item.ends_with('!')) {
                found.push((format!("{module}{item}"), kind.to_owned(), entry.path()));
            }
        }
    }
    found.sort();
    Ok(found)
}
