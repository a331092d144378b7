//! Calls of rustc that only check code, outside of evcxr.

use std::fs;

use offmodel_cells::generated::GeneratedCode;
use offmodel_events::CellError;

use super::diagnostics::{self, Diagnostic};
use crate::environment::Environment;
use crate::errors::compiler_failed;
use crate::notebook::NotebookState;

/// The name of the file that is compiled, which messages refer to.
pub(super) const FILE: &str = "probe.rs";

/// Compiles `source` to metadata, without generating machine code, and returns rustc's messages.
///
/// # Errors
/// When rustc cannot be started. Errors in `source` are messages.
pub(crate) fn compile_to_metadata(
    source: &str,
    environment: &Environment,
) -> Result<Vec<Diagnostic>, CellError> {
    fs::write(environment.folder.join(FILE), source)
        .map_err(|error| compiler_failed("write the cell for the compiler", error))?;
    let output = environment
        .toolchain
        .rustc_command()
        .args(environment.extra_crate_arguments())
        .args([
            "--crate-type",
            "lib",
            "--crate-name",
            "ctx",
            "--emit",
            "metadata",
        ])
        .args(["-o", "probe.rmeta"])
        // Without these two unstable flags, rustc shortens long types, which then cannot be
        // written into later cells.
        .args([
            "-Ztrim-diagnostic-paths=no",
            "-Zwrite-long-types-to-disk=no",
        ])
        .args(["--error-format", "json"])
        .arg("--json=diagnostic-rendered-ansi")
        .arg(FILE)
        // rustc names files in messages as they are passed to it: here without a folder.
        .current_dir(&environment.folder)
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .map_err(|error| compiler_failed("start the compiler", error))?;
    Ok(diagnostics::parse(&output.stderr))
}

/// Checks the generated code of a cell that evcxr could not compile, borrows included. The errors
/// have the line numbers of `code`.
///
/// rustc is called again because evcxr passes on rendered text only: without spans, there is no
/// telling which generated line an error is in.
///
/// # Errors
/// When rustc cannot be started.
pub(crate) fn check<L>(
    code: &GeneratedCode<L>,
    state: &NotebookState,
    environment: &Environment,
) -> Result<Vec<Diagnostic>, CellError> {
    // The header shares the first line with the code, so that all lines keep their numbers.
    let mut source = String::from("#![allow(warnings)] fn __cell() { ");
    source.push_str(code.text());
    source.push_str("}\nuse offmodel::prelude::*;\n");
    source.push_str(&state.definitions().source());
    Ok(compile_to_metadata(&source, environment)?
        .into_iter()
        .filter(Diagnostic::is_error)
        .collect())
}

/// The type in a message labelled "this expression has type `T`".
pub(crate) fn type_in_message(error: &Diagnostic) -> Option<String> {
    const LABEL: &str = "this expression has type `";
    error.spans.iter().find_map(|span| {
        let label = span.label.as_deref()?;
        let start = label.find(LABEL)? + LABEL.len();
        label[start..].strip_suffix('`').map(str::to_owned)
    })
}
