//! A view of the compiler's own libraries without the dynamic standard library.
//!
//! The prelude holds the standard library itself. A compiler that also sees `libstd.so` insists
//! on linking that one as well, and then refuses, because there would be two. Building everything
//! with `-Cprefer-dynamic` instead would tie every program and every trial on a cluster to the
//! toolchain's folder. So cells and programs are compiled with `--sysroot` set to a folder of
//! links to everything but `libstd.so`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const LIBRARIES: &str = "lib/rustlib/x86_64-unknown-linux-gnu";
/// The toolchain's own linker and object tools, below a sysroot or a view of one.
pub(crate) const TOOLS: &str = "lib/rustlib/x86_64-unknown-linux-gnu/bin";

/// The view of `sysroot`, made inside `folder` if it is not there yet.
pub(crate) fn without_dynamic_std(sysroot: &Path, folder: &Path) -> io::Result<PathBuf> {
    let view = folder.join("cell-sysroot");
    let libraries = sysroot.join(LIBRARIES);
    if fs::read_link(view.join(LIBRARIES).join("bin")).is_ok_and(|bin| bin == libraries.join("bin"))
    {
        return Ok(view);
    }
    let temporary = folder.join(format!("cell-sysroot-{}", std::process::id()));
    let _ = fs::remove_dir_all(&temporary);
    fs::create_dir_all(temporary.join(LIBRARIES).join("lib"))?;
    for entry in fs::read_dir(libraries.join("lib"))? {
        let entry = entry?;
        let is_dynamic = Path::new(&entry.file_name())
            .extension()
            .is_some_and(|e| e == "so");
        if !is_dynamic {
            symlink(
                entry.path(),
                temporary
                    .join(LIBRARIES)
                    .join("lib")
                    .join(entry.file_name()),
            )?;
        }
    }
    // Written last: it is what tells a whole view from a half one, and one toolchain's from
    // another's.
    symlink(libraries.join("bin"), temporary.join(LIBRARIES).join("bin"))?;
    publish(&temporary, &view)?;
    Ok(view)
}

fn publish(temporary: &Path, view: &Path) -> io::Result<()> {
    let _ = fs::remove_dir_all(view);
    match fs::rename(temporary, view) {
        // Another process published the same view first.
        Err(_) if view.is_dir() => fs::remove_dir_all(temporary),
        other => other,
    }
}
