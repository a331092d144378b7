//! The frames of a panic that are the user's: of cells, not of libraries.

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use backtrace::Frame;

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

/// The frames of the calling thread that lie in cells, innermost first.
///
/// Only their symbols are looked up: those of the prelude and libtorch would take seconds.
pub(crate) fn user_frames() -> Vec<UserFrame> {
    let mut found: Vec<(PathBuf, Frame)> = Vec::new();
    backtrace::trace(|frame| {
        if let Some(library) = library_of(frame).filter(|library| is_users(library)) {
            found.push((library, frame.clone()));
        }
        found.len() < MOST
    });
    // Cells have been loaded since it was filled.
    backtrace::clear_symbol_cache();
    let newest = found
        .iter()
        .filter_map(|(library, _)| number(library))
        .max();
    found
        .iter()
        .flat_map(|(library, frame)| places(frame, number(library) != newest))
        .collect()
}

/// A frame and those inlined into it.
fn places(frame: &Frame, is_older: bool) -> Vec<UserFrame> {
    let mut places = Vec::new();
    backtrace::resolve_frame(frame, |symbol| {
        let name = symbol.name().map(|name| format!("{name:#}"));
        if let (Some(name), Some(file), Some(line)) = (name, symbol.filename(), symbol.lineno()) {
            places.push(UserFrame {
                function: short_name(&name),
                file: file.to_owned(),
                line,
                is_older,
            });
        }
    });
    places
}

fn library_of(frame: &Frame) -> Option<PathBuf> {
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
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(name.to_bytes())))
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
        assert_eq!(short_name("ctx::Student::answer"), "Student::answer");
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
