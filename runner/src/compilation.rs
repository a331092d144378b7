//! Compiles a notebook for this machine, and tells the user so when that takes time.

use offmodel_program::{Cache, Notebook, Program, built_program, compile};
use offmodel_toolchain::Toolchain;

use crate::error::RunnerError;
use crate::terminal::errln;

/// Returns the notebook's program: the one that `offmodel build` put beside it, the one in the cache,
/// or a newly compiled one.
///
/// # Errors
/// When a part of the toolchain is missing, a cell does not compile, or there is no cache folder.
pub fn compile_notebook(notebook: &Notebook) -> Result<Program, RunnerError> {
    // Looked for first, because a machine on which a built folder is used may have no toolchain.
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
