//! Where a process's events go: one pipe or file, chosen once at its start.

use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::allowance::Allowance;
use crate::{Event, Stream, capture};

/// The environment variable that names the inherited file descriptor events are written to.
pub const DESCRIPTOR_VARIABLE: &str = "OFFMODEL_EVENTS_FD";

static SINK: Mutex<Option<Sink>> = Mutex::new(None);
static LOST: AtomicBool = AtomicBool::new(false);

struct Sink {
    file: File,
    allowance: Allowance,
}

/// Sends all later events of this process to `file`, one JSON object a line.
pub fn install(file: File) {
    let allowance = Allowance::from_environment();
    *lock() = Some(Sink { file, allowance });
}

/// Takes the sink from [`DESCRIPTOR_VARIABLE`], and says whether there was one.
pub fn install_from_environment() -> bool {
    let descriptor = std::env::var(DESCRIPTOR_VARIABLE)
        .ok()
        .and_then(|value| value.parse::<RawFd>().ok())
        .filter(|&descriptor| descriptor > 2 && is_open(descriptor));
    let Some(descriptor) = descriptor else {
        return false;
    };
    // SAFETY: the parent passed this open descriptor to us alone, for exactly this use, and it
    // is taken once, at the start of the process.
    install(unsafe { File::from_raw_fd(descriptor) });
    true
}

/// Writes one event, or less of it where a cell shows more than it may
/// ([`allowance`](crate::allowance)).
///
/// Without a sink (a plain Rust program, a test) displays print their text form. A reader that
/// went away is not an error of the cell: the event is dropped, and [`has_lost`] tells.
pub fn emit(event: &Event) {
    if !matches!(event, Event::Stream { .. }) {
        capture::catch_up();
    }
    let mut sink = lock();
    let Some(Sink { file, allowance }) = sink.as_mut() else {
        drop(sink);
        print_plainly(event);
        return;
    };
    for admitted in allowance.admit(event) {
        if let Ok(mut line) = serde_json::to_vec(&admitted) {
            line.push(b'\n');
            // One write a line, under the lock, keeps the events of several threads whole.
            if file.write_all(&line).is_err() {
                LOST.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Whether an event of this process could not be written, for example because the disk is full.
pub fn has_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

fn print_plainly(event: &Event) {
    match event {
        Event::Display { data, .. } | Event::Result { data } => {
            if let Some(text) = data.get("text/plain") {
                println!("{text}");
            }
        }
        Event::Stream {
            stream: Stream::Stdout,
            text,
        } => print!("{text}"),
        Event::Stream {
            stream: Stream::Stderr,
            text,
        } => eprint!("{text}"),
        Event::Error { error } => eprintln!("{error}"),
        _ => {}
    }
}

pub(crate) fn is_open(descriptor: RawFd) -> bool {
    // SAFETY: F_GETFD only reads the descriptor's flags; a bad descriptor gives -1.
    unsafe { libc::fcntl(descriptor, libc::F_GETFD) != -1 }
}

fn lock() -> MutexGuard<'static, Option<Sink>> {
    // A panic while writing leaves at worst half a line, which readers skip.
    SINK.lock().unwrap_or_else(PoisonError::into_inner)
}
