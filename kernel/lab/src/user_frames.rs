//! The frames of a panic that are the user's: of cells, not of libraries.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use addr2line::Loader;

/// More frames than this are those of a recursion without end.
const MOST: usize = 16;
/// What evcxr names the libraries that it makes of cells.
const CELL_LIBRARY: &str = "libcode_";

/// A place in the code of cells through which a panic went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserFrame {
    /// The function's name, without the crate that cells are compiled as.
    pub function: String,
    /// The generated source file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: u32,
    /// Whether the code is that of a library older than the running cell's: its source is gone.
    pub is_older: bool,
}

/// An address in a cell's code.
struct Address {
    library: PathBuf,
    /// From where the library begins.
    offset: u64,
}

/// The frames of the calling thread that lie in cells, innermost first.
///
/// Only the cells' libraries are read: the prelude and libtorch would take seconds. (The
/// standard library and `backtrace` would read a list of libraries once, and miss cells that were
/// loaded later.)
pub(crate) fn user_frames() -> Vec<UserFrame> {
    let mut addresses: Vec<Address> = Vec::new();
    backtrace::trace(|frame| {
        addresses.extend(address(frame).filter(|address| is_users(&address.library)));
        addresses.len() < MOST
    });
    let newest = addresses
        .iter()
        .filter_map(|address| number(&address.library))
        .max();
    let mut frames = Vec::new();
    for in_library in addresses.chunk_by(|one, next| one.library == next.library) {
        let library = &in_library[0].library;
        // Without its file, a frame has no place to tell.
        let Ok(symbols) = Loader::new(library) else {
            continue;
        };
        let is_older = number(library) != newest;
        for address in in_library {
            frames.extend(places(&symbols, address.offset, is_older).unwrap_or_default());
        }
    }
    frames
}

/// The places of an address: of the code inlined there, and of what it is inlined into.
fn places(
    symbols: &Loader,
    offset: u64,
    is_older: bool,
) -> Result<Vec<UserFrame>, Box<dyn std::error::Error>> {
    let mut places = Vec::new();
    let mut frames = symbols.find_frames(offset)?;
    while let Some(frame) = frames.next()? {
        let location = frame
            .location
            .and_then(|place| Some((place.file?.to_owned(), place.line?)));
        let Some((file, line)) = location else {
            continue;
        };
        let name = match &frame.function {
            Some(name) => name.demangle()?.into_owned(),
            None => symbols.find_symbol(offset).unwrap_or_default().to_owned(),
        };
        places.push(UserFrame {
            function: short_name(&name),
            file: file.into(),
            line,
            is_older,
        });
    }
    Ok(places)
}

fn address(frame: &backtrace::Frame) -> Option<Address> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` only compares the address with loaded libraries, whatever it is, and fills
    // the structure, of which all zeros is a valid value.
    let info = unsafe {
        if libc::dladdr(frame.ip(), info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init()
    };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's own text, which lives as long as the library, which runs.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    // The address is that behind the call, which may be the next line.
    let call = (frame.ip() as u64).checked_sub(1)?;
    Some(Address {
        library: PathBuf::from(OsStr::from_bytes(name.to_bytes())),
        offset: call.checked_sub(info.dli_fbase as u64)?,
    })
}

/// Cells are libraries of their own in the live kernel, and the program itself in batch.
fn is_users(library: &Path) -> bool {
    number(library).is_some()
        || library
            .extension()
            .is_none_or(|extension| extension != "so")
            && !library.to_string_lossy().contains(".so.")
}

/// The number in `libcode_12.so`.
fn number(library: &Path) -> Option<u32> {
    let name = library.file_name()?.to_str()?;
    name.strip_prefix(CELL_LIBRARY)?
        .strip_suffix(".so")?
        .parse()
        .ok()
}

/// `ctx::Student::answer::{{closure}}` as `Student::answer`.
fn short_name(name: &str) -> String {
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
    fn functions_are_named_as_the_cell_names_them() {
        assert_eq!(short_name("ctx::deep"), "deep");
        assert_eq!(short_name("ctx::mean::{{closure}}"), "mean");
        assert_eq!(
            short_name("ctx::Student::answer::h0123456789abcdef"),
            "Student::answer"
        );
        assert_eq!(
            short_name("<ctx::Student as core::fmt::Debug>::fmt"),
            "Student"
        );
    }

    #[test]
    fn libraries_are_no_cells() {
        assert!(is_users(Path::new("/tmp/s/target/debug/deps/libcode_3.so")));
        assert!(is_users(Path::new("target/debug/program")));
        assert!(!is_users(Path::new("/lib/libc.so.6")));
        assert!(!is_users(Path::new("target/debug/liboffmodel.so")));
    }
}
