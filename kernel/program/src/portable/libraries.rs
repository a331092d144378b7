//! The shared libraries that a program needs, directly and indirectly.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use offmodel_toolchain::Toolchain;

use super::elf::Dynamic;

/// The part of libtorch for NVIDIA devices. No library names it as needed: libtorch loads it at run
/// time if it is there.
const CUDA_LIBRARY: &str = "libtorch_cuda.so";

/// All libraries that a program needs.
#[derive(Debug)]
pub(super) struct Libraries {
    /// Libraries to copy, by the name under which they are needed.
    pub found: BTreeMap<String, PathBuf>,
    /// The names of libraries that the system provides.
    pub system: Vec<String>,
}

/// Finds the libraries that a program needs, and the libraries that those need.
///
/// # Errors
/// The path that cannot be read, and the system's error.
pub(super) fn find_libraries(
    program: &Path,
    toolchain: &Toolchain,
) -> Result<Libraries, (PathBuf, io::Error)> {
    let prelude = toolchain.prelude.parent().unwrap_or(Path::new("/"));
    let own_folders = [prelude.to_owned(), toolchain.libtorch_lib.clone()];
    let mut found = BTreeMap::new();
    let mut system = Vec::new();
    let mut queue = VecDeque::from([program.to_owned()]);
    let cuda = toolchain.libtorch_lib.join(CUDA_LIBRARY);
    if cuda.exists() {
        found.insert(CUDA_LIBRARY.to_owned(), cuda.clone());
        queue.push_back(cuda);
    }
    while let Some(path) = queue.pop_front() {
        // Resolve links: `$ORIGIN` is the folder of the file that a link leads to.
        let path = path.canonicalize().map_err(|error| (path, error))?;
        let dynamic = Dynamic::read(&path).map_err(|error| (path.clone(), error))?;
        for name in &dynamic.needed {
            if found.contains_key(name) || system.contains(name) {
                continue;
            }
            let search_folders = dynamic.search_folders(&path);
            let library = own_folders
                .iter()
                .chain(&search_folders)
                .map(|folder| folder.join(name))
                .find(|library| library.is_file() && !is_system_library(library));
            match library {
                Some(library) => {
                    found.insert(name.clone(), library.clone());
                    queue.push_back(library);
                }
                None => system.push(name.clone()),
            }
        }
    }
    system.sort();
    Ok(Libraries { found, system })
}

/// Whether a library belongs to the system. The C library and its like must be those of the machine
/// that runs the program, because they have to fit its loader and kernel.
fn is_system_library(library: &Path) -> bool {
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64"]
        .iter()
        .any(|folder| library.starts_with(folder))
}
