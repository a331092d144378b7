//! Our flags for the compiler calls of evcxr.
//!
//! evcxr builds each cell with Cargo as the crate `ctx`. A `RUSTC_WRAPPER` adds the prelude to
//! that crate alone, so that Cargo and rust-analyzer see no dependency at all: a cell costs one
//! short compiler call, whatever the prelude holds.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use offmodel_support::environment::{EXTRA_CRATES, RUSTC_WRAPPER};

use crate::Toolchain;

/// The crate that evcxr compiles for every cell.
const CELL_CRATE: &str = "ctx";

/// Becomes rustc if this process was started as the wrapper; returns otherwise.
///
/// To be called first in `main`.
pub fn hook() {
    if std::env::var_os(RUSTC_WRAPPER).is_none() {
        return;
    }
    let mut arguments = std::env::args_os().skip(1);
    let Some(rustc) = arguments.next() else {
        return;
    };
    let arguments: Vec<OsString> = arguments.collect();
    let mut command = Command::new(&rustc);
    if names_cell(&arguments) {
        match Toolchain::locate() {
            Ok(toolchain) => {
                command = Command::new(&toolchain.rustc);
                command
                    .args(for_cell(&arguments))
                    .args(toolchain.cell_arguments());
                if let Some(file) = std::env::var_os(EXTRA_CRATES) {
                    command.args(read_arguments(Path::new(&file)));
                }
            }
            Err(error) => {
                eprintln!("error: {error}");
                std::process::exit(1);
            }
        }
    } else {
        command.args(&arguments);
    }
    let error = command.exec();
    eprintln!(
        "error: failed to start {}: {error}",
        command.get_program().display()
    );
    std::process::exit(1);
}

/// The arguments in a file, one a line; none if there is no file.
pub fn read_arguments(file: &Path) -> Vec<OsString> {
    let text = fs::read(file).unwrap_or_default();
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| OsString::from_vec(line.to_vec()))
        .collect()
}

/// Puts arguments into a file in the place of those that are there.
///
/// # Errors
/// When it cannot be written; the earlier ones are then still there.
pub fn write_arguments(file: &Path, arguments: &[OsString]) -> io::Result<()> {
    let temporary = file.with_extension("new");
    fs::write(
        &temporary,
        arguments.join(OsStr::new("\n")).into_encoded_bytes(),
    )?;
    fs::rename(temporary, file)
}

fn names_cell(arguments: &[OsString]) -> bool {
    arguments
        .windows(2)
        .any(|pair| pair[0] == OsStr::new("--crate-name") && pair[1] == OsStr::new(CELL_CRATE))
}

/// Drops what contradicts the prelude: it holds the standard library itself, so a cell must not
/// ask for another, dynamic one; and the levels of optimisation and debugging information are ours
/// to set.
fn for_cell(arguments: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::with_capacity(arguments.len());
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let unwanted = |text: &OsStr| {
            text.to_str().is_some_and(|text| {
                text == "prefer-dynamic"
                    || ["opt-level=", "incremental=", "debuginfo=", "strip="]
                        .iter()
                        .any(|flag| text.starts_with(flag))
            })
        };
        if argument == "-C" && rest.peek().is_some_and(|next| unwanted(next)) {
            rest.next();
            continue;
        }
        let attached = argument.to_str().and_then(|text| text.strip_prefix("-C"));
        if attached.is_some_and(|flag| unwanted(OsStr::new(flag))) {
            continue;
        }
        kept.push(argument.clone());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(arguments: &[&str]) -> Vec<OsString> {
        arguments.iter().map(OsString::from).collect()
    }

    #[test]
    fn only_the_cell_crate_is_joined_to_the_prelude() {
        assert!(names_cell(&strings(&["--crate-name", "ctx", "src/lib.rs"])));
        assert!(!names_cell(&strings(&["--crate-name", "serde", "ctx"])));
    }

    #[test]
    fn flags_that_contradict_the_prelude_are_dropped_in_both_spellings() {
        let given = strings(&[
            "-C",
            "opt-level=2",
            "-Cprefer-dynamic",
            "-C",
            "panic=unwind",
            "-Cincremental=x",
            "-C",
            "strip=debuginfo",
        ]);
        assert_eq!(for_cell(&given), strings(&["-C", "panic=unwind"]));
    }
}
