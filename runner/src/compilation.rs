//! A notebook compiled for this machine, with a word to the user when that takes a moment.

use offmodel_program::{Cache, Notebook, Program, built_program, compile};
use offmodel_toolchain::Toolchain;

use crate::error::RunnerError;
use crate::terminal::errln;

/// Finds the toolchain and compiles the notebook, unless it is in the cache or comes with its
/// program.
///
/// # Errors
/// When a part of the toolchain is missing or a cell does not compile.
pub fn compile_notebook(notebook: &Notebook) -> Result<Program, RunnerError> {
    // On a machine without Rust, a folder that `offmodel build` made brings its program along.
    if let Some(program) = built_program(notebook) {
        return Ok(program);
    }
    let toolchain = Toolchain::locate()?;
    let cache = Cache::of_user().ok_or(RunnerError::NoCache)?;
    let program = compile(notebook, &toolchain, &cache, &mut |step| errln!("{step}"))?;
    if let Some(duration) = program.compiled_in {
        errln!(
            "compiled {} in {:.1} s",
            notebook.path.display(),
            duration.as_secs_f64()
        );
    }
    Ok(program)
}
