//! One shared library of all further crates of a session.
//!
//! Linked into every cell, a crate would have its statics once for each: a second thread pool, a
//! logger that the next cell does not see. In a library that all cells link they are there once,
//! as they are in a program.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ExtraCrates;
use crate::Toolchain;

/// The name by which generated code mentions the library, so that cells are linked with it.
pub const SHARED_CRATE: &str = "offmodel_further";

/// The linker of the library: the usual one, but all C functions are in the library and exported,
/// because generic and inlined code of crates with C code calls them from the cells. rustc takes
/// only those that the library itself calls, and exports none.
const LINKER: &str = "#!/bin/sh
for argument do
    shift
    case $argument in
        *--version-script=*) ;;
        *.a | *.rlib) set -- \"$@\" -Wl,--whole-archive \"$argument\" -Wl,--no-whole-archive ;;
        *) set -- \"$@\" \"$argument\" ;;
    esac
done
exec cc \"$@\"
";

/// Of the library's own name, which tells those of different keys apart in one process.
const PREFIX: &str = "offmodel_further_";
/// Characters of the key in it.
const KEY: usize = 16;

impl Toolchain {
    /// The arguments that let cells use the crates by way of their shared library, which is built
    /// unless it is there; `None` if they cannot be made into one, as where a native library is
    /// not position-independent, or if there are none.
    ///
    /// # Errors
    /// When files cannot be written or the compiler not started.
    pub fn shared_library_arguments(
        &self,
        crates: &ExtraCrates,
    ) -> io::Result<Option<Vec<OsString>>> {
        let Some(folder) = crates.folder() else {
            return Ok(None);
        };
        let name = format!("{PREFIX}{}", &crates.key()[..KEY.min(crates.key().len())]);
        let library = folder.join(format!("lib{name}.so"));
        if !library.is_file() && !self.build_shared(crates, &name, folder, &library)? {
            return Ok(None);
        }
        let mut named = OsString::from(format!("{SHARED_CRATE}="));
        named.push(&library);
        let (flag, separator) = match self.interface {
            Some(_) => ("-rpath", "="),
            // By way of the C compiler.
            None => ("-Wl,-rpath", ","),
        };
        let mut search = OsString::from(format!("-Clink-arg={flag}{separator}"));
        search.push(folder);
        let mut arguments = crates.arguments().to_vec();
        arguments.extend(["--extern".into(), named, search]);
        Ok(Some(arguments))
    }

    /// False if the compiler or the linker refuses.
    fn build_shared(
        &self,
        crates: &ExtraCrates,
        name: &str,
        folder: &Path,
        library: &Path,
    ) -> io::Result<bool> {
        let workplace = tempfile::Builder::new()
            .prefix(".sharing-")
            .tempdir_in(folder)?;
        // The prelude is where the standard library comes from.
        let mut source = String::from("pub extern crate offmodel;\n");
        for name in crates.names() {
            // Writing to a string does not fail.
            let _ = writeln!(source, "pub extern crate {};", name.replace('-', "_"));
        }
        let file = workplace.path().join("shared.rs");
        fs::write(&file, source)?;
        let linker = workplace.path().join("linker");
        fs::write(&linker, LINKER)?;
        fs::set_permissions(&linker, fs::Permissions::from_mode(0o700))?;
        let mut linked_by = OsString::from("-Clinker=");
        linked_by.push(&linker);
        let built: PathBuf = workplace.path().join("library.so");
        let output = self
            .rustc_command()
            .args(crates.arguments())
            .args(["--crate-type", "dylib", "--crate-name", name, "-o"])
            .args([&built, &file])
            .args([linked_by, "-Clinker-flavor=gcc".into()])
            // Cells find it by this name.
            .arg(format!("-Clink-arg=-Wl,-soname,lib{name}.so"))
            .current_dir(workplace.path())
            .output()?;
        if !output.status.success() {
            return Ok(false);
        }
        // Another process may publish the same meanwhile.
        fs::rename(built, library)?;
        Ok(true)
    }
}
