//! The child process that runs the cells, its private event pipe, and how it is stopped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use offmodel_events::input::InputReply;
use offmodel_events::{Event, Stream};
use offmodel_support::environment::{EVENTS_FD, INPUT_FD, RUSTC_WRAPPER};
use offmodel_toolchain::extra_crates::CancellationToken;
use offmodel_toolchain::openmp;
use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, kill_process};

use crate::session::Message;

/// The command that starts the child, our end of its event pipe, and that of its answers.
pub(crate) fn child_command() -> io::Result<(Command, EventPipe, AnswerPipe)> {
    let (reader, writer) = io::pipe()?;
    let (answers, answering) = io::pipe()?;
    let (writer, answers) = (OwnedFd::from(writer), OwnedFd::from(answers));
    let_inherit(&writer)?;
    let_inherit(&answers)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env(EVENTS_FD, writer.as_raw_fd().to_string())
        .env(INPUT_FD, answers.as_raw_fd().to_string())
        .envs(openmp::environment())
        .env_remove(RUSTC_WRAPPER)
        .env_remove("RUSTC_WRAPPER");
    Ok((
        command,
        EventPipe {
            reader: File::from(OwnedFd::from(reader)),
            _writer: writer,
        },
        AnswerPipe {
            writer: File::from(OwnedFd::from(answering)),
            _reader: answers,
        },
    ))
}

/// Our side of the pipe for answers. The read end stays open here too, for children started
/// later.
#[derive(Debug)]
pub(crate) struct AnswerPipe {
    writer: File,
    _reader: OwnedFd,
}

impl AnswerPipe {
    /// Answers a question of the child. A child that died meanwhile does not read it.
    pub fn answer(&mut self, answer: &InputReply) {
        if let Ok(mut line) = serde_json::to_vec(answer) {
            line.push(b'\n');
            let _ = self.writer.write_all(&line);
        }
    }
}

/// Our side of the pipe. The write end stays open here too, for children started later.
#[derive(Debug)]
pub(crate) struct EventPipe {
    reader: File,
    _writer: OwnedFd,
}

impl EventPipe {
    /// Forwards every event to `messages`, from a thread of its own.
    pub fn forward(self, messages: Sender<Message>) -> io::Result<OwnedFd> {
        let Self {
            reader,
            _writer: writer,
        } = self;
        std::thread::Builder::new()
            .name("offmodel-events".to_owned())
            .spawn(move || {
                let mut lines = BufReader::new(reader);
                let mut line = Vec::new();
                while lines
                    .read_until(b'\n', &mut line)
                    .is_ok_and(|count| count > 0)
                {
                    // A line that is no event was torn by the death of the child.
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

/// Forwards text that reaches the child's original output, outside any cell.
pub(crate) fn forward_lines(
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

/// Stops what the child is doing. Cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Interrupter {
    child: Arc<Mutex<Child>>,
    /// Of a build of further crates.
    build: CancellationToken,
}

impl Interrupter {
    pub(crate) fn new(child: Arc<Mutex<Child>>, build: CancellationToken) -> Self {
        Self { child, build }
    }

    /// Asks the running cell to stop: work in offmodel's own library ends at its next step and
    /// keeps every variable.
    pub fn interrupt(&self) {
        self.build.cancel();
        self.signal(Signal::INT);
    }

    /// Ends the child process; all variables are lost.
    pub fn kill(&self) {
        self.build.cancel();
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // A child that has ended and was waited for has no process id of its own any more.
        if let Ok(None) = child.try_wait() {
            // It may end just now: then there is nothing to stop.
            let _ = kill_process(Pid::from_child(&child), signal);
        }
    }
}

/// Leaves a descriptor open in processes that are started from now on.
fn let_inherit(descriptor: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?)
}
