//! What a cell needs to see of the prelude while it is compiled and linked: its metadata and its
//! name.
//!
//! The prelude exports some 150,000 symbols and depends on libtorch, which exports as many. A
//! linker that reads them all takes 0.14 s a cell, half of the whole compilation of a small one,
//! only to find that every symbol is there, which the loader finds anyway. So cells are linked
//! with an *interface library*: a shared library of the prelude's name that holds the metadata
//! for rustc and nothing else. Undefined symbols of a shared library are no error, and the loader
//! finds them in the real prelude.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sysroot::TOOLS;

const FOLDER: &str = "cell-interface";
pub(crate) const PRELUDE: &str = "liboffmodel.so";
/// The toolchain's own tools, in [`TOOLS`].
const OBJCOPY: &str = "rust-objcopy";
pub(crate) const LINKER: &str = "rust-lld";

/// Libraries that rustc names to the linker for the prelude's and the standard library's sake.
/// The real prelude brings them along, so that an empty archive of the name will do.
const NATIVE: [&str; 11] = [
    "c",
    "c10",
    "dl",
    "gcc_s",
    "m",
    "pthread",
    "rt",
    "stdc++",
    "tch",
    "torch_cpu",
    "util",
];

/// The folder with the interface library of the prelude in `folder`, made there if it is not.
///
/// `sysroot` is the toolchain's; `None` if it does not have the tools.
pub(crate) fn of_prelude(folder: &Path, sysroot: &Path) -> io::Result<Option<PathBuf>> {
    let tools = [OBJCOPY, LINKER].map(|tool| sysroot.join(TOOLS).join(tool));
    if !tools.iter().all(|tool| tool.is_file()) {
        return Ok(None);
    }
    let prelude = folder.join(PRELUDE);
    let version = version(&prelude)?;
    let interfaces = folder.join(FOLDER);
    let interface = interfaces.join(&version);
    if interface.is_dir() {
        return Ok(Some(interface));
    }
    fs::create_dir_all(&interfaces)?;
    let temporary = interfaces.join(format!(".{version}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&temporary);
    let made =
        make(&prelude, sysroot, &temporary).and_then(|()| fs::rename(&temporary, &interface));
    if made.is_err() {
        let _ = fs::remove_dir_all(&temporary);
        // Another process may have published the same one first.
        if !interface.is_dir() {
            made?;
        }
    }
    remove_others(&interfaces, &version);
    Ok(Some(interface))
}

/// A name for this build of the prelude: one that was built again is another file with another
/// time.
pub(crate) fn version(prelude: &Path) -> io::Result<String> {
    let state = fs::metadata(prelude)?;
    Ok(format!(
        "{:x}-{:x}-{:x}",
        state.len(),
        state.mtime(),
        state.mtime_nsec()
    ))
}

fn make(prelude: &Path, sysroot: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for name in NATIVE {
        fs::write(folder.join(format!("lib{name}.a")), "!<arch>\n")?;
    }
    let (metadata, object) = (folder.join("metadata"), folder.join("metadata.o"));
    let tool = |name| {
        let mut command = Command::new(sysroot.join(TOOLS).join(name));
        // `rust-objcopy` needs LLVM, which is there, but does not look.
        command.env("LD_LIBRARY_PATH", sysroot.join("lib"));
        command
    };
    let mut dump = std::ffi::OsString::from("--dump-section=.rustc=");
    dump.push(&metadata);
    succeed(
        tool(OBJCOPY)
            .arg(dump)
            .args([prelude.as_os_str(), OsStr::new("/dev/null")]),
    )?;
    succeed(
        tool(OBJCOPY)
            .args(["-I", "binary", "-O", "elf64-x86-64"])
            .arg("--rename-section=.data=.rustc,contents,readonly")
            .args([&metadata, &object]),
    )?;
    succeed(
        tool(LINKER)
            .args(["-flavor", "gnu", "-shared", "-soname", PRELUDE, "-o"])
            .args([&folder.join(PRELUDE), &object]),
    )?;
    fs::remove_file(metadata)?;
    fs::remove_file(object)
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let program = command.get_program().display();
    Err(io::Error::other(format!("{program}: {}", said.trim())))
}

/// Those of earlier preludes, of which a cell that is being compiled just now may lose its own:
/// its prelude is gone too.
fn remove_others(interfaces: &Path, version: &str) {
    for entry in fs::read_dir(interfaces).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name != version && !name.as_encoded_bytes().starts_with(b".") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
