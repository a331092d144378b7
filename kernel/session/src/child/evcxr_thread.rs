//! evcxr on a thread of its own, because its calls block while a cell runs.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use evcxr::{Error, EvalContext};
use offmodel_events::Stream;

use super::message::{EvcxrAnswer, Message};
use super::pipes::{InputPipe, child_command, forward_lines};

/// The stack of the thread, in bytes. rust-analyzer, which evcxr contains, recurses deeply.
const STACK_SIZE: usize = 64 << 20;

/// A handle to the thread, which ends when the handle is dropped.
#[derive(Debug)]
pub(super) struct EvcxrThread {
    requests: Sender<String>,
    pub child: Arc<Mutex<Child>>,
    pub input: InputPipe,
}

impl EvcxrThread {
    /// Starts evcxr and the child process. Their answers and events are sent to `messages`.
    pub(super) fn start(messages: Sender<Message>) -> Result<Self, String> {
        let (command, events, input) = child_command().map_err(child_not_started)?;
        let events_writer = events
            .forward(messages.clone())
            .map_err(child_not_started)?;
        let (requests, receiver) = channel();
        let (ready, is_ready) = channel();
        std::thread::Builder::new()
            .name("offmodel-evcxr".to_owned())
            .stack_size(STACK_SIZE)
            .spawn(move || serve(command, &events_writer, &ready, &receiver, &messages))
            .map_err(|error| format!("failed to start a thread: {error}"))?;
        let child = is_ready
            .recv()
            .map_err(|_| "evcxr ended while starting".to_owned())??;
        Ok(Self {
            requests,
            child,
            input,
        })
    }

    /// Sends code to evcxr. It answers with a [`Message::Evcxr`].
    pub(super) fn evaluate(&self, code: String) -> Result<(), String> {
        self.requests.send(code).map_err(|_| EVCXR_ENDED.to_owned())
    }
}

/// The reason why code cannot be evaluated once the thread has ended.
pub(super) const EVCXR_ENDED: &str = "evcxr has ended";

/// Evaluates requests until there are none. `_events_writer` is the end of the event pipe that
/// children inherit; holding it here keeps it open until then.
fn serve(
    command: Command,
    _events_writer: &OwnedFd,
    ready: &Sender<Result<Arc<Mutex<Child>>, String>>,
    requests: &Receiver<String>,
    messages: &Sender<Message>,
) {
    let mut context = match start_evcxr(command, messages) {
        Ok(context) => context,
        Err(reason) => {
            // `EvcxrThread::start` waits for this message.
            let _ = ready.send(Err(reason));
            return;
        }
    };
    let _ = ready.send(Ok(context.process_handle()));
    for code in requests {
        let answer = match context.eval(&code) {
            Ok(_) => EvcxrAnswer::Ran,
            Err(Error::SubprocessTerminated(status)) => EvcxrAnswer::ChildEnded(status),
            Err(Error::CompilationErrors(errors)) => {
                let rendered = errors.iter().map(|error| error.rendered());
                EvcxrAnswer::CompileError(rendered.collect::<Vec<_>>().join("\n"))
            }
            Err(error) => EvcxrAnswer::CompileError(error.to_string()),
        };
        if messages.send(Message::Evcxr(answer)).is_err() {
            return;
        }
    }
}

fn start_evcxr(command: Command, messages: &Sender<Message>) -> Result<EvalContext, String> {
    let (context, outputs) =
        EvalContext::with_subprocess_command(command).map_err(|error| error.to_string())?;
    forward_lines(Stream::Stdout, outputs.stdout.into_iter(), messages.clone())
        .map_err(child_not_started)?;
    forward_lines(Stream::Stderr, outputs.stderr.into_iter(), messages.clone())
        .map_err(child_not_started)?;
    Ok(context)
}

fn child_not_started(error: io::Error) -> String {
    format!("failed to start the child process: {error}")
}
