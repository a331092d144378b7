//! A view of the compiler's libraries without the dynamic standard library.
//!
//! The prelude contains the standard library. A compiler that also finds `libstd.so` insists on
//! linking it too, and then fails because there would be two. Building everything with
//! `-Cprefer-dynamic` instead would tie every program and every trial on a cluster to the
//! toolchain's folder. So cells and programs are compiled with `--sysroot` set to a folder of links
//! to everything but `libstd.so`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use offmodel_support::atomic_folder;

/// The one platform that offmodel supports.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The path of one of the toolchain's own tools (linker, object tools), below a sysroot or a view
/// of one.
pub(crate) fn tool(sysroot: &Path, name: &str) -> PathBuf {
    target_folder(sysroot).join("bin").join(name)
}

/// The view of `sysroot`, created in `folder` unless it exists.
pub(crate) fn without_dynamic_std(sysroot: &Path, folder: &Path) -> io::Result<PathBuf> {
    let view = folder.join("cell-sysroot");
    let target = target_folder(sysroot);
    // The link to `bin` tells one toolchain's view from another's.
    let linked_bin = fs::read_link(target_folder(&view).join("bin"));
    if linked_bin.is_ok_and(|bin| bin == target.join("bin")) {
        return Ok(view);
    }
    atomic_folder::write(&view, |name| name == "lib", |view| fill(view, &target))?;
    Ok(view)
}

fn fill(view: &Path, target: &Path) -> io::Result<()> {
    let libraries = target_folder(view).join("lib");
    fs::create_dir_all(&libraries)?;
    for entry in fs::read_dir(target.join("lib"))? {
        let entry = entry?;
        let is_dynamic = Path::new(&entry.file_name())
            .extension()
            .is_some_and(|extension| extension == "so");
        if !is_dynamic {
            symlink(entry.path(), libraries.join(entry.file_name()))?;
        }
    }
    symlink(target.join("bin"), target_folder(view).join("bin"))
}

fn target_folder(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib").join(TARGET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_view_has_every_library_but_dynamic_ones() {
        let room = tempfile::tempdir().unwrap();
        let sysroot = room.path().join("toolchain");
        let target = target_folder(&sysroot);
        fs::create_dir_all(target.join("lib")).unwrap();
        fs::create_dir_all(target.join("bin")).unwrap();
        for library in ["libcore.rlib", "libstd.rlib", "libstd.so"] {
            fs::write(target.join("lib").join(library), library).unwrap();
        }
        let view = without_dynamic_std(&sysroot, room.path()).unwrap();
        let library = |name| target_folder(&view).join("lib").join(name);
        assert_eq!(fs::read(library("libcore.rlib")).unwrap(), b"libcore.rlib");
        assert!(library("libstd.rlib").exists() && !library("libstd.so").exists());
        assert!(target_folder(&view).join("bin").is_dir());
    }

    #[test]
    fn the_view_of_another_toolchain_is_replaced() {
        let room = tempfile::tempdir().unwrap();
        for name in ["stable", "nightly"] {
            let sysroot = room.path().join(name);
            fs::create_dir_all(target_folder(&sysroot).join("lib")).unwrap();
            let view = without_dynamic_std(&sysroot, room.path()).unwrap();
            let bin = fs::read_link(target_folder(&view).join("bin")).unwrap();
            assert!(bin.starts_with(&sysroot));
        }
    }
}
