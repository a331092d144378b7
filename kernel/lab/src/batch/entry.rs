use std::path::Path;

use offmodel_events::batch::exit_code;

use super::{Notebook, attempt, serve};
use crate::live::Raised;

/// The `main` of a compiled notebook; see the [module](super) for its arguments.
///
/// Exits without the destructors of C++ libraries: an attempt has nothing to release, and those of
/// libtorch take longer than a small attempt.
pub fn main(notebook: &'static Notebook, cells: fn() -> Result<(), Raised>) -> ! {
    offmodel_analysis::register_plotters_fonts();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let code = match &arguments[..] {
        [] => attempt::run_standalone(notebook, cells),
        [flag, folder] if flag == "--attempt" => attempt::run(Path::new(folder), notebook, cells),
        [flag] if flag == "--serve" => serve::serve(notebook, cells),
        _ => {
            eprintln!("usage: program [--attempt FOLDER | --serve]");
            exit_code::RUNTIME_FAILED
        }
    };
    attempt::exit(code)
}
