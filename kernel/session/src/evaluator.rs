//! evcxr on a thread of its own: compiles what it is given, loads it into the child, runs it.

use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use evcxr::{Error, EvalContext};
use offmodel_events::Stream;

use crate::child::{AnswerPipe, child_command, forward_lines};
use crate::session::Message;

/// How an evaluation ended, as evcxr tells it.
#[derive(Debug)]
pub(crate) enum Evaluated {
    /// The code was compiled and run; what it did is in its events.
    Ran,
    /// The code was not compiled.
    CompileError(String),
    /// The child process ended while running it.
    ChildDied(String),
}

/// A handle to the evaluating thread.
#[derive(Debug)]
pub(crate) struct Evaluator {
    requests: Sender<String>,
    pub child: Arc<Mutex<Child>>,
    /// Where the child's questions are answered.
    pub answers: AnswerPipe,
}

impl Evaluator {
    /// Starts evcxr; answers and everything that the child says arrive as [`Message`]s.
    pub fn start(messages: Sender<Message>) -> Result<Self, String> {
        let failure = |error: std::io::Error| format!("failed to start the child process: {error}");
        let (command, events, answers) = child_command().map_err(failure)?;
        let pipe = events.forward(messages.clone()).map_err(failure)?;
        let (requests, inbox) = channel();
        let (started, start) = channel();
        std::thread::Builder::new()
            .name("offmodel-evaluator".to_owned())
            // rust-analyzer, inside evcxr, recurses deeply.
            .stack_size(64 << 20)
            .spawn(move || evaluate(command, &pipe, &started, &inbox, &messages))
            .map_err(|error| format!("failed to start a thread: {error}"))?;
        let child = start
            .recv()
            .map_err(|_| "evcxr ended while starting".to_owned())??;
        Ok(Self {
            requests,
            child,
            answers,
        })
    }

    /// Hands code to the evaluating thread; a [`Message::Evaluated`] answers.
    pub fn evaluate(&self, code: String) -> Result<(), String> {
        self.requests
            .send(code)
            .map_err(|_| "evcxr has ended".to_owned())
    }
}

type Started = Sender<Result<Arc<Mutex<Child>>, String>>;

/// `_pipe` is the child's end of the event pipe, which stays open as long as children may start.
fn evaluate(
    command: Command,
    _pipe: &OwnedFd,
    started: &Started,
    requests: &Receiver<String>,
    messages: &Sender<Message>,
) {
    let mut context = match start(command, messages) {
        Ok(context) => context,
        Err(reason) => {
            // Whoever started us waits for exactly this answer.
            let _ = started.send(Err(reason));
            return;
        }
    };
    let _ = started.send(Ok(context.process_handle()));
    for code in requests {
        let evaluated = match context.eval(&code) {
            Ok(_) => Evaluated::Ran,
            Err(Error::SubprocessTerminated(cause)) => Evaluated::ChildDied(cause),
            Err(Error::CompilationErrors(errors)) => Evaluated::CompileError(
                errors
                    .iter()
                    .map(|error| error.rendered())
                    .collect::<Vec<_>>()
                    .join("\n"),
            ),
            Err(error) => Evaluated::CompileError(error.to_string()),
        };
        if messages.send(Message::Evaluated(evaluated)).is_err() {
            return;
        }
    }
}

fn start(command: Command, messages: &Sender<Message>) -> Result<EvalContext, String> {
    let failure = |error: std::io::Error| format!("failed to start the child process: {error}");
    let (context, outputs) =
        EvalContext::with_subprocess_command(command).map_err(|error| error.to_string())?;
    forward_lines(Stream::Stdout, outputs.stdout.into_iter(), messages.clone()).map_err(failure)?;
    forward_lines(Stream::Stderr, outputs.stderr.into_iter(), messages.clone()).map_err(failure)?;
    Ok(context)
}
