//! All extra crates of a session as one shared library.
//!
//! A crate linked statically into every cell would have its statics once per cell: a second thread
//! pool, a logger that the next cell does not see. In a shared library they exist once, as they do
//! in a program.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use offmodel_support::atomic_file::TEMPORARY_PREFIX;

use super::ExtraCrates;
use crate::Toolchain;

/// The crate name of the shared library. Generated code mentions it so that rustc links it.
pub const SHARED_CRATE: &str = "offmodel_further";

/// The linker of the library: a shell script around the C compiler that includes and exports all C
/// functions of the crates. Generic and inlined code calls them from cells, whereas rustc would
/// include only those that the library itself calls, and export none.
const LINKER_WRAPPER: &str = "#!/bin/sh
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

/// Prefix of the library's file name. A part of the key follows, because one process may load the
/// libraries of several keys.
const NAME_PREFIX: &str = "offmodel_further_";
/// Digits of the key in the file name.
const NAME_KEY_DIGITS: usize = 16;

impl Toolchain {
    /// The compiler arguments with which cells use the crates through their shared library, which is
    /// built unless it exists. None if there are no crates, or if they cannot be linked into a shared
    /// library, for example because a native library is not position-independent.
    ///
    /// # Errors
    /// When files cannot be written, or the compiler cannot be started.
    pub fn shared_library_arguments(
        &self,
        crates: &ExtraCrates,
    ) -> io::Result<Option<Vec<OsString>>> {
        let Some(folder) = crates.folder() else {
            return Ok(None);
        };
        let key = crates.key();
        let name = format!("{NAME_PREFIX}{}", &key[..NAME_KEY_DIGITS.min(key.len())]);
        let library = folder.join(format!("lib{name}.so"));
        if !library.is_file() && !self.build_shared(crates, &name, folder, &library)? {
            return Ok(None);
        }
        let mut external = OsString::from(format!("{SHARED_CRATE}="));
        external.push(&library);
        let (flag, separator) = match self.interface {
            Some(_) => ("-rpath", "="),
            // Cells are then linked by the C compiler.
            None => ("-Wl,-rpath", ","),
        };
        let mut search = OsString::from(format!("-Clink-arg={flag}{separator}"));
        search.push(folder);
        let mut arguments = crates.arguments().to_vec();
        arguments.extend(["--extern".into(), external, search]);
        Ok(Some(arguments))
    }

    /// Builds the shared library at `library`. Returns false if it cannot be compiled or linked.
    fn build_shared(
        &self,
        crates: &ExtraCrates,
        name: &str,
        folder: &Path,
        library: &Path,
    ) -> io::Result<bool> {
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempdir_in(folder)?;
        // The library takes the standard library from the prelude, as cells do.
        let mut source = String::from("pub extern crate offmodel;\n");
        for name in crates.names() {
            // Writing to a string cannot fail.
            let _ = writeln!(source, "pub extern crate {};", name.replace('-', "_"));
        }
        let file = temporary.path().join("shared.rs");
        fs::write(&file, source)?;
        let linker = temporary.path().join("linker");
        fs::write(&linker, LINKER_WRAPPER)?;
        fs::set_permissions(&linker, fs::Permissions::from_mode(0o700))?;
        let mut linker_flag = OsString::from("-Clinker=");
        linker_flag.push(&linker);
        let built: PathBuf = temporary.path().join("library.so");
        let output = self
            .rustc_command()
            .args(crates.arguments())
            .args(["--crate-type", "dylib", "--crate-name", name, "-o"])
            .args([&built, &file])
            .args([linker_flag, "-Clinker-flavor=gcc".into()])
            // The name under which the loader looks for it.
            .arg(format!("-Clink-arg=-Wl,-soname,lib{name}.so"))
            .current_dir(temporary.path())
            .output()?;
        if !output.status.success() {
            return Ok(false);
        }
        // If another process has built the same library meanwhile, this replaces an equal file.
        fs::rename(built, library)?;
        Ok(true)
    }
}
