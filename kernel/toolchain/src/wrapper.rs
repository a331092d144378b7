//! The `RUSTC_WRAPPER` of evcxr's Cargo: adds our flags to the compilation of cells.
//!
//! evcxr builds each cell with Cargo as the crate `ctx`. The wrapper adds the prelude to that crate
//! alone, so that neither Cargo nor rust-analyzer sees any dependency: a cell costs one short
//! compiler call, however large the prelude is.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use offmodel_support::atomic_file;
use offmodel_support::environment::{EXTRA_CRATES, RUSTC_WRAPPER};

use crate::Toolchain;

/// The crate that evcxr compiles for every cell.
const CELL_CRATE: &str = "ctx";

/// Replaces this process by rustc if it was started as the wrapper; returns otherwise.
///
/// Call first in `main`.
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
    if is_cell(&arguments) {
        match Toolchain::locate() {
            Ok(toolchain) => {
                command = Command::new(&toolchain.rustc);
                command
                    .args(without_conflicting_flags(&arguments))
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

/// Reads compiler arguments from a file, one a line; none if there is no file.
pub fn read_arguments(file: &Path) -> Vec<OsString> {
    let text = fs::read(file).unwrap_or_default();
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| OsString::from_vec(line.to_vec()))
        .collect()
}

/// Replaces the content of a file by compiler arguments, one a line.
///
/// # Errors
/// When the file cannot be written; its old content is then unchanged.
pub fn write_arguments(file: &Path, arguments: &[OsString]) -> io::Result<()> {
    let text = arguments.join(OsStr::new("\n"));
    atomic_file::write(file, text.as_encoded_bytes())
}

/// Whether a compiler call compiles a cell.
fn is_cell(arguments: &[OsString]) -> bool {
    arguments
        .windows(2)
        .any(|pair| pair[0] == OsStr::new("--crate-name") && pair[1] == OsStr::new(CELL_CRATE))
}

/// Drops evcxr's flags that conflict with ours: the prelude contains the standard library, so a cell
/// must not link the dynamic one; and we set the levels of optimisation and debugging information.
fn without_conflicting_flags(arguments: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::with_capacity(arguments.len());
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let conflicts = |text: &OsStr| {
            text.to_str().is_some_and(|text| {
                text == "prefer-dynamic"
                    || ["opt-level=", "incremental=", "debuginfo=", "strip="]
                        .iter()
                        .any(|flag| text.starts_with(flag))
            })
        };
        if argument == "-C" && rest.peek().is_some_and(|next| conflicts(next)) {
            rest.next();
            continue;
        }
        let attached = argument.to_str().and_then(|text| text.strip_prefix("-C"));
        if attached.is_some_and(|flag| conflicts(OsStr::new(flag))) {
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
    fn only_the_crate_of_a_cell_gets_the_flags() {
        assert!(is_cell(&strings(&["--crate-name", "ctx", "src/lib.rs"])));
        assert!(!is_cell(&strings(&["--crate-name", "serde", "ctx"])));
    }

    #[test]
    fn conflicting_flags_are_dropped_in_both_spellings() {
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
        assert_eq!(
            without_conflicting_flags(&given),
            strings(&["-C", "panic=unwind"])
        );
    }

    #[test]
    fn arguments_are_read_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("arguments");
        assert_eq!(read_arguments(&file), strings(&[]));
        let arguments = strings(&["--extern", "itoa=/a folder/libitoa.rlib"]);
        write_arguments(&file, &arguments).unwrap();
        assert_eq!(read_arguments(&file), arguments);
    }
}
