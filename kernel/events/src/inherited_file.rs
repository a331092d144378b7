//! File descriptors that a parent process passes to its child under an environment variable.

use std::fs::File;
use std::os::fd::{FromRawFd, RawFd};

/// Takes the file descriptor that the parent process passed to this one under the environment
/// variable `variable`. None if the variable names no open descriptor above the standard streams.
///
/// Each variable may be taken only once per process: the file owns its descriptor.
pub fn take(variable: &str) -> Option<File> {
    const STANDARD_ERROR: RawFd = 2;
    let descriptor: RawFd = std::env::var(variable).ok()?.parse().ok()?;
    if descriptor <= STANDARD_ERROR || !is_open(descriptor) {
        return None;
    }
    // SAFETY: the parent opened this descriptor for the use that `variable` names and passed it to
    // nobody else in this process, and the caller takes each variable once.
    Some(unsafe { File::from_raw_fd(descriptor) })
}

fn is_open(descriptor: RawFd) -> bool {
    // SAFETY: F_GETFD only reads the descriptor's flags; a bad descriptor gives -1.
    unsafe { libc::fcntl(descriptor, libc::F_GETFD) != -1 }
}
