//! Configures Cargo with the folder of libtorch.
//!
//! The committed `.cargo/config.toml` includes `.cargo/libtorch.toml` if it exists. That file is
//! specific to this machine: it replaces the build script of torch-sys by the paths of libtorch and
//! the shared `libtch.so`. Any change of it makes Cargo build everything again, so it is written
//! only if its values differ.

use std::path::{Path, PathBuf};

use offmodel_support::{atomic_file, environment};
use toml::{Table, Value};

use crate::SetupError;
use crate::workspace::{TARGET, Workspace};

/// Records the folder of libtorch's libraries; returns whether the configuration changed.
///
/// # Errors
/// When Cargo or the linker cannot handle the path, or the file cannot be written.
pub fn record(workspace: &Workspace, lib: &Path) -> Result<bool, SetupError> {
    // `-Wl,` splits at commas, and Cargo's configuration is Unicode.
    let text = lib
        .to_str()
        .filter(|text| !text.contains(','))
        .ok_or_else(|| SetupError::NotWritable {
            path: lib.to_path_buf(),
            reason: "the linker takes no path with a comma or bytes that are not UTF-8".to_owned(),
            variable: environment::CACHE,
        })?;
    let expected = link_override(text);
    let path = file(workspace);
    if table(&path).as_ref() == Some(&expected) {
        return Ok(false);
    }
    let contents = format!(
        "# Written by `offmodel-setup` for this machine: where libtorch and the shared libtch.so are.\n\n{expected}"
    );
    atomic_file::write_if_changed(&path, contents.as_bytes())
        .map_err(|source| SetupError::Checkout { path, source })
}

/// The folder of libtorch's libraries that an earlier set-up recorded, if any.
pub fn recorded(workspace: &Workspace) -> Option<PathBuf> {
    let table = table(&file(workspace))?;
    let search = table
        .get("target")?
        .get(TARGET)?
        .get("tch")?
        .get("rustc-link-search")?;
    search
        .get(0)?
        .as_str()?
        .strip_prefix("native=")
        .map(PathBuf::from)
}

fn file(workspace: &Workspace) -> PathBuf {
    workspace.root().join(".cargo/libtorch.toml")
}

fn table(path: &Path) -> Option<Table> {
    std::fs::read_to_string(path).ok()?.parse().ok()
}

/// The [override of a build script](https://doc.rust-lang.org/cargo/reference/build-scripts.html#overriding-build-scripts)
/// that links libtorch and `libtch.so`.
///
/// Only the CPU libraries are linked even if there is CUDA, whose libraries are loaded at run time,
/// so that one build serves both.
fn link_override(lib: &str) -> Table {
    let strings = |items: &[String]| Value::from(items.to_vec());
    let libraries = ["tch", "torch_cpu", "c10", "stdc++"].map(|name| format!("dylib={name}"));
    let tch = Table::from_iter([
        ("rustc-link-lib".to_owned(), strings(&libraries)),
        (
            "rustc-link-search".to_owned(),
            strings(&[format!("native={lib}")]),
        ),
    ]);
    // rustdoc links documentation tests, with flags of its own.
    let rpath = strings(&[format!("-Clink-arg=-Wl,-rpath,{lib}")]);
    let target = Table::from_iter([
        ("rustdocflags".to_owned(), rpath.clone()),
        ("rustflags".to_owned(), rpath),
        ("tch".to_owned(), Value::from(tch)),
    ]);
    let targets = Table::from_iter([(TARGET.to_owned(), Value::from(target))]);
    Table::from_iter([("target".to_owned(), Value::from(targets))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_folder_is_read_back_and_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path(), folder.path());
        assert_eq!(recorded(&workspace), None);
        let lib = Path::new("/cache with \"quotes\"/lib");
        assert!(record(&workspace, lib).unwrap());
        assert!(!record(&workspace, lib).unwrap());
        assert_eq!(recorded(&workspace).as_deref(), Some(lib));
    }

    /// The same values in another layout must not make Cargo build everything again.
    #[test]
    fn a_file_with_the_same_values_is_left_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path(), folder.path());
        std::fs::create_dir(folder.path().join(".cargo")).unwrap();
        let by_hand = "target.x86_64-unknown-linux-gnu = { rustflags = ['-Clink-arg=-Wl,-rpath,/l'], \
                       rustdocflags = ['-Clink-arg=-Wl,-rpath,/l'], \
                       tch.rustc-link-search = ['native=/l'], \
                       tch.rustc-link-lib = ['dylib=tch', 'dylib=torch_cpu', 'dylib=c10', 'dylib=stdc++'] }";
        std::fs::write(file(&workspace), by_hand).unwrap();
        assert!(!record(&workspace, Path::new("/l")).unwrap());
        assert_eq!(std::fs::read_to_string(file(&workspace)).unwrap(), by_hand);
        assert!(record(&workspace, Path::new("/m")).unwrap());
    }

    #[test]
    fn a_path_that_the_linker_would_split_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path(), folder.path());
        let message = record(&workspace, Path::new("/a,b/lib"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("no path with a comma"), "{message}");
        assert_eq!(recorded(&workspace), None);
    }
}
