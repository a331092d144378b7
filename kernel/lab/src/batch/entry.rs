use std::path::Path;

use offmodel_events::batch::exit_code;

use super::{Notebook, attempt, serve};
use crate::live::Raised;

/// Runs a compiled notebook as its arguments say; see the [module](super) for the three ways.
///
/// Ends the process itself, without the destructors of C++ libraries: an attempt has nothing to
/// give back, and libtorch's take longer than a small attempt.
pub fn main(notebook: &'static Notebook, cells: fn() -> Result<(), Raised>) -> ! {
    offmodel_analysis::register_plotters_fonts();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let code = match &arguments[..] {
        [] => attempt::run_plainly(notebook, cells),
        [flag, folder] if flag == "--attempt" => attempt::run(Path::new(folder), notebook, cells),
        [flag] if flag == "--serve" => serve::serve(notebook, cells),
        _ => {
            eprintln!("usage: program [--attempt FOLDER | --serve]");
            exit_code::RUNTIME_FAILED
        }
    };
    attempt::exit(code)
}
