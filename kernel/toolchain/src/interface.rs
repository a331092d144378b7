//! The interface library: a stand-in for the prelude with which cells are linked.
//!
//! The prelude exports about 150,000 symbols and depends on libtorch, which exports as many. A
//! linker that reads them all takes 0.14 s per cell, half of the whole compilation of a small one,
//! only to check that every symbol exists, which the loader checks again. So cells are linked with
//! a shared library of the prelude's name that holds the metadata for rustc and nothing else.
//! Undefined symbols in a shared library are no error; the loader finds them in the real prelude.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use offmodel_support::atomic_folder;

use crate::sysroot::tool;

/// The file name of the prelude and of its interface library.
pub(crate) const PRELUDE: &str = "liboffmodel.so";
/// The toolchain's linker.
pub(crate) const LINKER: &str = "rust-lld";
const OBJCOPY: &str = "rust-objcopy";
/// The folder of interface libraries, beside the prelude.
const FOLDER: &str = "cell-interface";

/// Libraries that rustc passes to the linker on behalf of the prelude and the standard library. The
/// loader loads them with the real prelude, so empty archives of these names suffice to link.
const NATIVE_LIBRARIES: [&str; 11] = [
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

/// The folder with the interface library of the prelude in `folder`, created unless it exists.
///
/// `sysroot` is that of the toolchain. None if it does not have the tools.
pub(crate) fn of_prelude(folder: &Path, sysroot: &Path) -> io::Result<Option<PathBuf>> {
    if ![OBJCOPY, LINKER]
        .iter()
        .all(|name| tool(sysroot, name).is_file())
    {
        return Ok(None);
    }
    let prelude = folder.join(PRELUDE);
    let version = version(&prelude)?;
    let interfaces = folder.join(FOLDER);
    let interface = interfaces.join(&version);
    if atomic_folder::create_if_absent(&interface, |folder| create(&prelude, sysroot, folder))? {
        remove_others(&interfaces, &version);
    }
    Ok(Some(interface))
}

/// Identifies a build of the prelude: a new build is a file of another size or modification time.
pub(crate) fn version(prelude: &Path) -> io::Result<String> {
    let metadata = fs::metadata(prelude)?;
    Ok(format!(
        "{:x}-{:x}-{:x}",
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec()
    ))
}

fn create(prelude: &Path, sysroot: &Path, folder: &Path) -> io::Result<()> {
    for name in NATIVE_LIBRARIES {
        fs::write(folder.join(format!("lib{name}.a")), "!<arch>\n")?;
    }
    let (metadata, object) = (folder.join("metadata"), folder.join("metadata.o"));
    let command = |name| {
        let mut command = Command::new(tool(sysroot, name));
        // `rust-objcopy` links the toolchain's LLVM but has no run path to it.
        command.env("LD_LIBRARY_PATH", sysroot.join("lib"));
        command
    };
    let mut dump_section = OsString::from("--dump-section=.rustc=");
    dump_section.push(&metadata);
    run(command(OBJCOPY)
        .arg(dump_section)
        .args([prelude.as_os_str(), OsStr::new("/dev/null")]))?;
    run(command(OBJCOPY)
        .args(["-I", "binary", "-O", "elf64-x86-64"])
        .arg("--rename-section=.data=.rustc,contents,readonly")
        .args([&metadata, &object]))?;
    run(command(LINKER)
        .args(["-flavor", "gnu", "-shared", "-soname", PRELUDE, "-o"])
        .args([&folder.join(PRELUDE), &object]))?;
    fs::remove_file(metadata)?;
    fs::remove_file(object)
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let program = command.get_program().display();
    Err(io::Error::other(format!("{program}: {}", message.trim())))
}

/// Removes the interface libraries of earlier preludes. A cell that is being compiled with one of
/// them fails to link, but its prelude has been replaced as well.
fn remove_others(interfaces: &Path, version: &str) {
    for entry in fs::read_dir(interfaces).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_temporary = name.as_encoded_bytes().starts_with(b".");
        if name != version && !is_temporary {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
