//! The child process as the session uses it.

use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use offmodel_events::input::InputReply;
use offmodel_events::{CellError, Event, Stream};

use super::evcxr_thread::{EVCXR_ENDED, EvcxrThread};
use super::exit_cause::{StderrTail, describe_exit, out_of_memory_kills};
use super::listener::Listener;
use super::message::{EvcxrAnswer, Message};

/// How long to wait for the event `CellFinished` after evcxr has answered that the cell ran.
///
/// evcxr's answer and the events come over different pipes, so the answer may overtake events. They
/// follow within milliseconds, even for the largest outputs, because the child has written all of
/// them before it answers. A cell whose `CellFinished` never comes has closed the descriptor; the
/// timeout is the price of that alone.
const FINISHED_EVENT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the event pipe must be silent, once evcxr has answered that the code did not compile or
/// the child ended, until all events are taken to have arrived. There is no last event then.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(50);

/// The child process, started again by evcxr whenever it ends.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    evcxr: EvcxrThread,
    messages: Receiver<Message>,
}

/// The result of an evaluation.
#[derive(Debug)]
pub(crate) struct Evaluation {
    pub end: EvaluationEnd,
    /// The seconds that the code ran, without its compilation.
    pub run_seconds: f64,
    /// The columns of frames that were stored, by variable.
    pub columns: Vec<(String, Vec<String>)>,
}

/// How an evaluation ended.
#[derive(Debug)]
pub(crate) enum EvaluationEnd {
    /// The code ran, possibly until an error.
    Ran(Result<(), CellError>),
    /// The code did not compile; rustc's rendered errors.
    CompileError(String),
    /// The child process ended, with all variables; the cause in words.
    ChildEnded(String),
    /// evcxr has ended, and with it the session.
    EvcxrEnded(String),
}

impl ChildProcess {
    /// Starts the child process.
    ///
    /// # Errors
    /// When evcxr or the child does not start.
    pub(crate) fn start() -> Result<Self, String> {
        let (sender, messages) = channel();
        let evcxr = EvcxrThread::start(sender)?;
        Ok(Self { evcxr, messages })
    }

    /// The process, to send signals to.
    pub(crate) fn handle(&self) -> Arc<Mutex<Child>> {
        Arc::clone(&self.evcxr.child)
    }

    /// Loads the prelude into a child that was just started.
    ///
    /// # Errors
    /// When the prelude does not fit this program, or the child ends.
    pub(crate) fn load_prelude(&self) -> Result<(), String> {
        let code =
            "#[allow(unused_imports)]\nuse offmodel::prelude::*;\n::offmodel::live::initialize();";
        self.evcxr.evaluate(code.to_owned())?;
        loop {
            match self.messages.recv() {
                Ok(Message::Evcxr(EvcxrAnswer::Ran)) => return Ok(()),
                Ok(Message::Evcxr(
                    EvcxrAnswer::CompileError(reason) | EvcxrAnswer::ChildEnded(reason),
                )) => {
                    return Err(reason);
                }
                Ok(Message::Event(_)) => {}
                Err(_) => return Err(EVCXR_ENDED.to_owned()),
            }
        }
    }

    /// Compiles and runs code, and forwards its events to `listener`.
    pub(crate) fn evaluate(&mut self, code: String, listener: &mut dyn Listener) -> Evaluation {
        let mut evaluation = Evaluation {
            end: EvaluationEnd::Ran(Ok(())),
            run_seconds: 0.0,
            columns: Vec::new(),
        };
        if let Err(reason) = self.evcxr.evaluate(code) {
            evaluation.end = EvaluationEnd::EvcxrEnded(reason);
            return evaluation;
        }
        let mut result = Ok(());
        let mut is_finished = false;
        let mut answer = None;
        let mut stderr = StderrTail::default();
        let kills_before = out_of_memory_kills();
        // A cell has ended when both evcxr's answer and the event `CellFinished` have arrived.
        loop {
            let message = match &answer {
                None => self
                    .messages
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(EvcxrAnswer::Ran) if is_finished => break,
                Some(EvcxrAnswer::Ran) => self.messages.recv_timeout(FINISHED_EVENT_TIMEOUT),
                Some(EvcxrAnswer::CompileError(_) | EvcxrAnswer::ChildEnded(_)) => {
                    self.messages.recv_timeout(DRAIN_TIMEOUT)
                }
            };
            match message {
                Ok(Message::Evcxr(evcxr)) => answer = Some(evcxr),
                Ok(Message::Event(event)) => match event {
                    Event::Error { error } => result = Err(error),
                    Event::CellFinished { seconds, .. } => {
                        is_finished = true;
                        evaluation.run_seconds = seconds;
                    }
                    Event::InputRequest {
                        id,
                        prompt,
                        password,
                    } => {
                        let value = listener.input(&prompt, password);
                        self.evcxr.input.send(&InputReply { id, value });
                    }
                    Event::Columns { variable, columns } => {
                        evaluation.columns.push((variable, columns));
                    }
                    event => {
                        if let Event::Stream {
                            stream: Stream::Stderr,
                            text,
                        } = &event
                        {
                            stderr.push(text);
                        }
                        listener.event(event);
                    }
                },
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    evaluation.end = EvaluationEnd::EvcxrEnded(EVCXR_ENDED.to_owned());
                    return evaluation;
                }
            }
        }
        evaluation.end = match answer {
            Some(EvcxrAnswer::CompileError(rendered)) => EvaluationEnd::CompileError(rendered),
            Some(EvcxrAnswer::ChildEnded(status)) => {
                let is_out_of_memory = out_of_memory_kills() > kills_before;
                EvaluationEnd::ChildEnded(describe_exit(&status, &stderr, is_out_of_memory))
            }
            Some(EvcxrAnswer::Ran) | None => EvaluationEnd::Ran(result),
        };
        evaluation
    }
}
