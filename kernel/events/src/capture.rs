//! Turns standard output and standard error of a running cell into events.
//!
//! The capture redirects file descriptors 1 and 2, so that text from C libraries (libtorch's
//! warnings) is caught as well. It restores the original descriptors when the cell ends, because in
//! the live kernel evcxr uses the original standard output for its own protocol between cells.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::{Event, Stream, emit};

/// A running capture; [`Capture::finish`] ends it. One at a time per process.
#[derive(Debug)]
pub struct Capture {
    original_stdout: OwnedFd,
    original_stderr: OwnedFd,
    reader: Option<JoinHandle<()>>,
}

/// The connection to the reader thread of the running capture. Dropping it ends the thread.
static CURRENT: Mutex<Option<ReaderHandle>> = Mutex::new(None);

#[derive(Debug)]
struct ReaderHandle {
    /// Each byte written here asks the reader to emit everything written to the streams so far.
    requests: File,
    /// One message per request, once the request is fulfilled.
    done: Receiver<()>,
}

/// Waits until everything written to the streams so far has been emitted, so that a display does
/// not overtake the text printed before it. Does nothing if no capture runs.
pub(crate) fn drain_current() {
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(reader) = current.as_mut() {
        flush();
        if reader.requests.write_all(b".").is_ok() {
            // Fails if the reader has ended: it has then emitted everything.
            let _ = reader.done.recv();
        }
    }
}

impl Capture {
    /// Redirects file descriptors 1 and 2 into [`Event::Stream`] events.
    ///
    /// # Errors
    /// When the system is out of file descriptors or threads.
    pub fn start() -> io::Result<Self> {
        flush();
        let original_stdout = duplicate(1)?;
        let original_stderr = duplicate(2)?;
        let (stdout, stdout_writer) = pipe()?;
        let (stderr, stderr_writer) = pipe()?;
        let (requests_reader, requests) = pipe()?;
        let (done_sender, done) = channel();
        set_nonblocking(&stdout)?;
        set_nonblocking(&stderr)?;
        set_nonblocking(&requests_reader)?;
        let reader = std::thread::Builder::new()
            .name("offmodel-capture".to_owned())
            .spawn(move || {
                let (stdout, stderr) = (stdout.into(), stderr.into());
                forward(stdout, stderr, requests_reader.into(), &done_sender);
            })?;
        redirect(&stdout_writer, 1)?;
        redirect(&stderr_writer, 2)?;
        *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(ReaderHandle {
            requests: requests.into(),
            done,
        });
        Ok(Self {
            original_stdout,
            original_stderr,
            reader: Some(reader),
        })
    }

    /// Restores the original descriptors and returns once everything written has been emitted.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        flush();
        // `dup2` succeeds even if the cell closed descriptor 1 or 2, so no error is expected.
        let _ = redirect(&self.original_stdout, 1);
        let _ = redirect(&self.original_stderr, 2);
        let reader = CURRENT
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(reader);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Copies both streams into events until `requests` closes, then empties them and returns.
///
/// The end of file of the streams cannot be the signal to return: a process started by the cell may
/// hold their write ends open for as long as it runs.
fn forward(mut stdout: File, mut stderr: File, mut requests: File, done: &Sender<()>) {
    let mut pending_stdout = Vec::new();
    let mut pending_stderr = Vec::new();
    loop {
        let is_requested =
            wait_readable([stdout.as_raw_fd(), stderr.as_raw_fd(), requests.as_raw_fd()]);
        drain(&mut stdout, Stream::Stdout, &mut pending_stdout);
        drain(&mut stderr, Stream::Stderr, &mut pending_stderr);
        if !is_requested {
            continue;
        }
        match requests.read(&mut [0]) {
            Ok(1..) => {
                if done.send(()).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => {
                flush_pending(Stream::Stdout, &mut pending_stdout);
                flush_pending(Stream::Stderr, &mut pending_stderr);
                return;
            }
        }
    }
}

/// Emits everything that can be read without waiting; the bytes of an incomplete character stay in
/// `pending`.
fn drain(pipe: &mut File, stream: Stream, pending: &mut Vec<u8>) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        pending.extend_from_slice(&buffer[..count]);
        let complete = complete_characters(pending);
        let rest = pending.split_off(complete);
        let bytes = std::mem::replace(pending, rest);
        if !bytes.is_empty() {
            emit(&Event::Stream {
                stream,
                text: String::from_utf8_lossy(&bytes).into_owned(),
            });
        }
    }
}

fn flush_pending(stream: Stream, pending: &mut Vec<u8>) {
    if !pending.is_empty() {
        emit(&Event::Stream {
            stream,
            text: String::from_utf8_lossy(pending).into_owned(),
        });
        pending.clear();
    }
}

/// Length of the longest prefix of `bytes` that does not end within a character. Holds back at most
/// three bytes, also if the text is not UTF-8.
fn complete_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => {
            // Invalid bytes further ahead: only the last bytes can be an incomplete character.
            let tail = bytes.len().saturating_sub(3);
            let is_first_byte = |byte: &u8| byte & 0b1100_0000 == 0b1100_0000;
            let start = bytes[tail..].iter().position(is_first_byte);
            match start.map(|offset| tail + offset) {
                Some(start)
                    if std::str::from_utf8(&bytes[start..])
                        .is_err_and(|error| error.error_len().is_none()) =>
                {
                    start
                }
                _ => bytes.len(),
            }
        }
    }
}

/// Waits until a descriptor is readable or closed; returns whether the last one is.
fn wait_readable(descriptors: [RawFd; 3]) -> bool {
    let mut polled = descriptors.map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: the array outlives the call and its length is passed.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) };
    polled[2].revents != 0
}

fn flush() {
    let _ = io::stdout().flush();
    let _ = io::stderr().flush();
    // SAFETY: a null pointer asks C to flush all its output streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// Opens a pipe: its read end and its write end.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both were just opened and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: duplicating reads nothing through the descriptor; a bad one gives -1.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
    if copy == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn redirect(from: &OwnedFd, to: RawFd) -> io::Result<()> {
    // SAFETY: `from` is open; `to` is 1 or 2, which nobody in this process owns as an `OwnedFd`.
    if unsafe { libc::dup2(from.as_raw_fd(), to) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn set_nonblocking(descriptor: &OwnedFd) -> io::Result<()> {
    // SAFETY: F_SETFL on an open pipe end that we own.
    if unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
