//! The stack frames of a panic that lie in cells, not in libraries.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use addr2line::Loader;

/// Enough frames for a traceback; an endless recursion would have thousands.
const MAX_FRAMES: usize = 16;
/// The file name prefix that evcxr gives to the library of a cell.
const CELL_LIBRARY_PREFIX: &str = "libcode_";

/// A stack frame in the code of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CellFrame {
    /// The function's name, without the crate as which cells are compiled.
    pub(crate) function: String,
    /// The generated source file.
    pub(crate) file: PathBuf,
    /// The line in `file`, from 1.
    pub(crate) line: u32,
    /// Whether the code is in the library of an earlier cell, whose source file has been
    /// overwritten.
    pub(crate) is_older: bool,
}

/// An address in a loaded library or in the program.
struct Address {
    library: PathBuf,
    /// Distance from the start of the library.
    offset: u64,
}

/// The frames of the calling thread that lie in cells, innermost first.
///
/// Symbols are read from the libraries of the cells only: those of the prelude and libtorch would
/// take seconds. The standard library and the `backtrace` crate list the loaded libraries once, so
/// they would miss cells loaded later; hence `dladdr` and `addr2line`.
pub(crate) fn cell_frames() -> Vec<CellFrame> {
    let mut addresses: Vec<Address> = Vec::new();
    backtrace::trace(|frame| {
        addresses.extend(address(frame).filter(|address| is_cell(&address.library)));
        addresses.len() < MAX_FRAMES
    });
    let newest = addresses
        .iter()
        .filter_map(|address| cell_number(&address.library))
        .max();
    let mut frames = Vec::new();
    for in_library in addresses.chunk_by(|one, next| one.library == next.library) {
        let library = &in_library[0].library;
        // Without its file, a library has no line numbers.
        let Ok(symbols) = Loader::new(library) else {
            continue;
        };
        let is_older = cell_number(library) != newest;
        for address in in_library {
            frames.extend(frames_at(&symbols, address.offset, is_older).unwrap_or_default());
        }
    }
    frames
}

/// The frames of one address: that of the function inlined there, then those it is inlined into.
fn frames_at(
    symbols: &Loader,
    offset: u64,
    is_older: bool,
) -> Result<Vec<CellFrame>, Box<dyn std::error::Error>> {
    let mut found = Vec::new();
    let mut frames = symbols.find_frames(offset)?;
    while let Some(frame) = frames.next()? {
        let location = frame
            .location
            .and_then(|location| Some((location.file?.to_owned(), location.line?)));
        let Some((file, line)) = location else {
            continue;
        };
        let name = match &frame.function {
            Some(name) => name.demangle()?.into_owned(),
            None => symbols.find_symbol(offset).unwrap_or_default().to_owned(),
        };
        found.push(CellFrame {
            function: short_function_name(&name),
            file: file.into(),
            line,
            is_older,
        });
    }
    Ok(found)
}

fn address(frame: &backtrace::Frame) -> Option<Address> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` accepts any address, compares it with the loaded libraries, and fills the
    // structure, for which all zeros are a valid value.
    let info = unsafe {
        if libc::dladdr(frame.ip(), info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init()
    };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader owns this C string for as long as the library is loaded, and a library on
    // the stack of this thread is loaded.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    // A return address points behind the call, possibly at the next line.
    let call = (frame.ip() as u64).checked_sub(1)?;
    Some(Address {
        library: PathBuf::from(OsStr::from_bytes(name.to_bytes())),
        offset: call.checked_sub(info.dli_fbase as u64)?,
    })
}

/// Whether the code of cells is in `library`: a library per cell in the live kernel, the program
/// itself in batch.
fn is_cell(library: &Path) -> bool {
    cell_number(library).is_some()
        || library
            .extension()
            .is_none_or(|extension| extension != "so")
            && !library.to_string_lossy().contains(".so.")
}

/// The number in `libcode_12.so`.
fn cell_number(library: &Path) -> Option<u32> {
    let name = library.file_name()?.to_str()?;
    name.strip_prefix(CELL_LIBRARY_PREFIX)?
        .strip_suffix(".so")?
        .parse()
        .ok()
}

/// Shortens `ctx::Student::answer::{{closure}}` to `Student::answer`.
fn short_function_name(name: &str) -> String {
    let name = match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 => path,
        _ => name,
    };
    let name = name.strip_prefix('<').unwrap_or(name);
    let name = name.split_once("::").map_or(name, |(_, rest)| rest);
    let name = name.split("::{{closure}}").next().unwrap_or(name);
    name.split(" as ").next().unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_has_the_name_that_the_cell_gave_it() {
        assert_eq!(short_function_name("ctx::deep"), "deep");
        assert_eq!(short_function_name("ctx::mean::{{closure}}"), "mean");
        assert_eq!(
            short_function_name("ctx::Student::answer::h0123456789abcdef"),
            "Student::answer"
        );
        assert_eq!(
            short_function_name("<ctx::Student as core::fmt::Debug>::fmt"),
            "Student"
        );
    }

    #[test]
    fn cells_are_in_their_own_libraries_or_in_the_program() {
        assert!(is_cell(Path::new("/tmp/s/target/debug/deps/libcode_3.so")));
        assert!(is_cell(Path::new("target/debug/program")));
        assert!(!is_cell(Path::new("/lib/libc.so.6")));
        assert!(!is_cell(Path::new("target/debug/liboffmodel.so")));
    }
}
