//! The pipes to and from the child process.
//!
//! Events and input do not use the child's standard streams, so that nothing that a cell prints can
//! be mistaken for them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::mpsc::Sender;

use offmodel_events::input::InputReply;
use offmodel_events::{Event, Stream};
use offmodel_support::environment::{EVENTS_FD, INPUT_FD, RUSTC_WRAPPER};
use offmodel_toolchain::openmp;
use rustix::io::FdFlags;

use super::message::Message;

/// The command that starts the child, and our ends of its pipes.
pub(super) fn child_command() -> io::Result<(Command, EventPipe, InputPipe)> {
    let (events_reader, events_writer) = io::pipe()?;
    let (input_reader, input_writer) = io::pipe()?;
    let (events_writer, input_reader) = (OwnedFd::from(events_writer), OwnedFd::from(input_reader));
    keep_open_in_children(&events_writer)?;
    keep_open_in_children(&input_reader)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env(EVENTS_FD, events_writer.as_raw_fd().to_string())
        .env(INPUT_FD, input_reader.as_raw_fd().to_string())
        .envs(openmp::environment())
        .env_remove(RUSTC_WRAPPER)
        .env_remove("RUSTC_WRAPPER");
    Ok((
        command,
        EventPipe {
            reader: File::from(OwnedFd::from(events_reader)),
            writer: events_writer,
        },
        InputPipe {
            writer: File::from(OwnedFd::from(input_writer)),
            _reader: input_reader,
        },
    ))
}

/// The pipe on which events arrive.
#[derive(Debug)]
pub(super) struct EventPipe {
    reader: File,
    /// Kept open here, because evcxr starts the child again after it died.
    writer: OwnedFd,
}

impl EventPipe {
    /// Starts a thread that forwards every event to `messages`. Returns the end that children
    /// inherit; it must stay open as long as children may be started.
    pub(super) fn forward(self, messages: Sender<Message>) -> io::Result<OwnedFd> {
        let Self { reader, writer } = self;
        std::thread::Builder::new()
            .name("offmodel-events".to_owned())
            .spawn(move || {
                let mut lines = BufReader::new(reader);
                let mut line = Vec::new();
                while lines
                    .read_until(b'\n', &mut line)
                    .is_ok_and(|count| count > 0)
                {
                    // A child that dies while it writes leaves half a line, which is no event.
                    if let Ok(event) = serde_json::from_slice::<Event>(&line)
                        && messages.send(Message::Event(event)).is_err()
                    {
                        return;
                    }
                    line.clear();
                }
            })?;
        Ok(writer)
    }
}

/// The pipe on which replies to requests for input are sent.
#[derive(Debug)]
pub(super) struct InputPipe {
    writer: File,
    /// Kept open here, because evcxr starts the child again after it died.
    _reader: OwnedFd,
}

impl InputPipe {
    /// Sends a reply. Errors do not matter: the reply to a child that has died is never read.
    pub(super) fn send(&mut self, reply: &InputReply) {
        if let Ok(mut line) = serde_json::to_vec(reply) {
            line.push(b'\n');
            let _ = self.writer.write_all(&line);
        }
    }
}

/// Starts a thread that forwards lines from the child's own standard stream: output that is written
/// outside of cells, which capture their output.
pub(super) fn forward_lines(
    stream: Stream,
    lines: impl Iterator<Item = String> + Send + 'static,
    messages: Sender<Message>,
) -> io::Result<()> {
    std::thread::Builder::new()
        .name("offmodel-output".to_owned())
        .spawn(move || {
            for line in lines {
                let event = Event::Stream {
                    stream,
                    text: format!("{line}\n"),
                };
                if messages.send(Message::Event(event)).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}

/// Clears the close-on-exec flag of a descriptor.
fn keep_open_in_children(descriptor: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?)
}
