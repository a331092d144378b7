//! The file to which a process writes its events: a pipe to the session, or `events.jsonl`.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use offmodel_support::environment::EVENTS_FD;

use crate::output_limit::OutputLimiter;
use crate::{Event, Stream, capture, inherited_file};

static SINK: Mutex<Option<Sink>> = Mutex::new(None);
static EVENTS_LOST: AtomicBool = AtomicBool::new(false);

struct Sink {
    file: File,
    limiter: OutputLimiter,
}

/// Sends all later events of this process to `file`, one JSON object a line.
pub fn install(file: File) {
    let limiter = OutputLimiter::from_environment();
    *lock() = Some(Sink { file, limiter });
}

/// Sends all later events to the file descriptor that [`EVENTS_FD`] names, if it names one. Call at
/// most once per process.
pub fn install_from_environment() {
    if let Some(file) = inherited_file::take(EVENTS_FD) {
        install(file);
    }
}

/// Writes one event, shortened if the cell exceeds its output limits (`OFFMODEL_TEXT_LIMIT_MB` and
/// `OFFMODEL_DISPLAY_LIMIT_MB`).
///
/// Without a sink, as in a test or a program started by hand, it prints the event's text form. A
/// failed write is not an error of the cell: the event is dropped, and [`events_lost`] reports it.
pub fn emit(event: &Event) {
    if !matches!(event, Event::Stream { .. }) {
        capture::drain_current();
    }
    let mut sink = lock();
    let Some(Sink { file, limiter }) = sink.as_mut() else {
        // Printing may block or emit; neither may happen under the lock.
        drop(sink);
        print_text(event);
        return;
    };
    for admitted in limiter.admit(event) {
        if let Ok(mut line) = serde_json::to_vec(&admitted) {
            line.push(b'\n');
            // Whole lines in single writes under the lock: events of several threads never mix.
            if file.write_all(&line).is_err() {
                EVENTS_LOST.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Whether any event of this process could not be written, for example because the disk is full.
pub fn events_lost() -> bool {
    EVENTS_LOST.load(Ordering::Relaxed)
}

fn print_text(event: &Event) {
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

fn lock() -> MutexGuard<'static, Option<Sink>> {
    // A panic while writing leaves at worst half a line, which readers skip.
    SINK.lock().unwrap_or_else(PoisonError::into_inner)
}
