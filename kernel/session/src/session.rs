use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use offmodel_cells::{Cell, Item};
use offmodel_events::completion::Completions;
use offmodel_events::input::InputReply;
use offmodel_events::{CellError, Event, MimeBundle, Stream};

use crate::child::Interrupter;
use crate::commands::times;
use crate::complete::{Known, complete};
use crate::death::LastWords;
use crate::diagnostics::{self, CellFile};
use crate::environment::Environment;
use crate::evaluator::{Evaluated, Evaluator};
use crate::failures::{SessionError, compile_failure, died, parse_failure};
use crate::further::Further;
use crate::generate::cell_statement;
use crate::inspect::inspect;
use crate::leaves::{Leaf, Leaves};
use crate::listener::Listener;
use crate::notebook_state::NotebookState;
use crate::panics::locate_in_cells;
use crate::probe::{Probed, check, failure, last_bindings, probe};
use crate::reference::{Reference, write_reference};

/// What arrives while a cell runs.
#[derive(Debug)]
pub(crate) enum Message {
    Event(Event),
    Evaluated(Evaluated),
}

/// The live state of a notebook: what its cells have defined so far, and the child process that
/// holds it.
#[derive(Debug)]
pub struct Session {
    pub(crate) state: NotebookState,
    /// Whether every cell tells how long it took.
    pub(crate) timing: bool,
    /// The columns of every variable that is a frame.
    columns: BTreeMap<String, Vec<String>>,
    reference: Option<Reference>,
    /// Whether it is being written, or was tried to.
    reference_wanted: bool,
    /// Seconds that the last cell ran.
    ran: f64,
    pub(crate) further: Further,
    evaluator: Evaluator,
    messages: Receiver<Message>,
    // Last, so that it is dropped, with its folder, after evcxr.
    pub(crate) environment: Arc<Environment>,
}

impl Session {
    /// Starts the child process and loads the prelude into it, so that the first cell does not
    /// wait for that.
    ///
    /// One session a process, in a program whose `main` has called
    /// [`enter_session_environment`](crate::enter_session_environment).
    ///
    /// # Errors
    /// When a part of the toolchain is missing, or the child does not start.
    pub fn start() -> Result<Self, SessionError> {
        let environment = Arc::new(Environment::current()?);
        let (sender, messages) = channel();
        let evaluator = Evaluator::start(sender).map_err(SessionError::Evaluator)?;
        let state = NotebookState::default();
        let mut session = Self {
            state,
            timing: false,
            columns: BTreeMap::new(),
            reference: None,
            reference_wanted: false,
            ran: 0.0,
            further: Further::default(),
            evaluator,
            messages,
            environment,
        };
        session.load_prelude().map_err(|reason| {
            SessionError::of_prelude(reason, &session.environment.toolchain.prelude)
        })?;
        Ok(session)
    }

    /// Runs a cell and returns when it has ended. `listener` hears everything it shows while
    /// it runs, and answers its questions.
    ///
    /// # Errors
    /// When the cell does not compile, fails or is interrupted, or the child process dies. Its
    /// variables stay in all but the last case.
    pub fn execute(
        &mut self,
        execution_count: usize,
        source: &str,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        let cell = offmodel_cells::parse(source).map_err(|error| parse_failure(source, &error))?;
        self.further.stop.reset();
        let mut timed = self.timing;
        for command in &cell.commands {
            timed |= command.name == "time";
            self.run_command(command, execution_count, listener)?;
        }
        if cell.statements.is_empty() && cell.items.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let result = self.run_parsed(&cell, execution_count, listener);
        if timed {
            listener.event(times(started.elapsed().as_secs_f64(), self.ran));
        }
        result
    }

    /// Runs a cell without its commands.
    pub(crate) fn run_parsed(
        &mut self,
        cell: &Cell,
        execution: usize,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        let mut next = self.state.clone();
        next.define_items(cell, execution);
        self.run_cell(cell, execution, next, listener)
    }

    /// A handle that stops the running cell, from another thread.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter::new(self.evaluator.child.clone(), self.further.stop.clone())
    }

    /// Names that could stand at `cursor`, a byte offset.
    ///
    /// Names of the prelude are among them once [its reference](Self::prepare_reference) has been
    /// written.
    pub fn complete(&mut self, source: &str, cursor: usize) -> Completions {
        complete(self.known(), source, cursor)
    }

    /// What is known about the name at `cursor`, a byte offset.
    pub fn inspect(&mut self, source: &str, cursor: usize) -> Option<MimeBundle> {
        inspect(self.known(), source, cursor)
    }

    /// Begins to write the reference of the prelude's names, if it is not there: about half a
    /// minute of one core at low priority, once for every build of the prelude. Completion and
    /// inspection know only the notebook's own names until then.
    pub fn prepare_reference(&mut self) {
        let toolchain = &self.environment.toolchain;
        if self.reference.is_none() {
            self.reference = Reference::open(toolchain);
        }
        if self.reference.is_none() && !self.reference_wanted {
            self.reference_wanted = true;
            let toolchain = toolchain.clone();
            // That it failed is no error of a cell; `doctor` tells.
            std::thread::spawn(move || write_reference(&toolchain));
        }
    }

    fn known(&mut self) -> Known<'_> {
        self.prepare_reference();
        Known {
            state: &self.state,
            columns: &self.columns,
            environment: &self.environment,
            reference: self.reference.as_ref(),
        }
    }

    /// Compiles and runs a cell; `next` is the state with its items.
    ///
    /// The cell is compiled at once as if all its variables could be kept, while the probe, on
    /// another core, finds out their types, which only later cells need. What does not work out
    /// (a variable that borrows, one that the cell moves) is left out and the cell compiled
    /// again.
    fn run_cell(
        &mut self,
        cell: &Cell,
        execution: usize,
        mut next: NotebookState,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        let item = |item: &Item| format!("{}\n", &cell.code[item.range.clone()]);
        let items: String = cell.items.iter().map(item).collect();
        let bindings = last_bindings(cell);
        let environment = Arc::clone(&self.environment);
        let (result, probed, leaves) = std::thread::scope(|scope| {
            let probing = scope.spawn(|| probe(cell, execution, &next, &environment));
            let panicked = |_| Err(failure("probe the cell", "the thread panicked"));
            let probed = LazyCell::new(|| probing.join().unwrap_or_else(panicked));
            // What a closure is kept in depends on its signature, which the probe tells.
            let has_closure = bindings.iter().any(|binding| binding.closure.is_some());
            let closures = match has_closure.then(|| probed.as_ref()) {
                Some(Ok(probed)) => probed.closures.clone(),
                _ => BTreeMap::new(),
            };
            let mut leaves = Leaves::new(&bindings, &closures);
            for _ in 0..5 {
                let statement =
                    cell_statement(cell, execution, &next, &leaves, self.further.shared);
                let code = format!("{items}{}", statement.text());
                match self.evaluate(code, &next, listener) {
                    Evaluation::Ran(result) => return Ok((result, Result::clone(&probed), leaves)),
                    Evaluation::ChildDied(error) => return Err(error),
                    Evaluation::CompileError(rendered) => {
                        let probed = probed.as_ref().map_err(Clone::clone)?;
                        let learnt = leaves.lessons();
                        leaves.leave_out(&probed.lost);
                        if learnt < leaves.lessons() {
                            continue;
                        }
                        let errors = check(&statement, &next, &environment)?;
                        let own = leaves.learn(errors, &statement);
                        if !own.is_empty() {
                            let file = CellFile {
                                source: &statement,
                                cell: &cell.code,
                                execution,
                            };
                            return Err(diagnostics::cell_error(&own, &file, &next));
                        }
                        if learnt == leaves.lessons() {
                            return Err(compile_failure(&rendered));
                        }
                    }
                }
            }
            Err(compile_failure(
                "the cell's variables could not be sorted out",
            ))
        })?;
        // A cell that ran although the probe did not like it leaves nothing to later ones.
        let probed = probed.unwrap_or_else(|error| Probed::nothing(&bindings, &error));
        next.clear_stale();
        self.state = next;
        self.settle(execution, probed, &leaves, result.is_ok());
        result
    }

    /// Brings the known variables up to date after a cell has run.
    fn settle(&mut self, execution: usize, probed: Probed, leaves: &Leaves, succeeded: bool) {
        for name in leaves.moved() {
            let reason =
                format!("cell {execution} moved it; pass `{name}.clone()` there to keep it");
            self.state.lose(name, reason);
        }
        if !succeeded {
            return;
        }
        for (name, variable) in probed.kept {
            self.state.keep(&name, variable);
        }
        for Leaf { name, closure, .. } in leaves.kept() {
            if let Some(closure) = closure {
                self.state.retype(name, closure.to_string());
            }
        }
        for (name, reason) in &probed.lost {
            self.state.lose(name, reason.clone());
        }
        for (name, reason) in leaves.unkept() {
            self.state.lose(name, reason.to_owned());
        }
    }

    fn load_prelude(&mut self) -> Result<(), String> {
        let code =
            "#[allow(unused_imports)]\nuse offmodel::prelude::*;\n::offmodel::live::initialize();";
        self.evaluator.evaluate(code.to_owned())?;
        loop {
            match self.messages.recv() {
                Ok(Message::Evaluated(Evaluated::Ran)) => return Ok(()),
                Ok(Message::Evaluated(
                    Evaluated::CompileError(reason) | Evaluated::ChildDied(reason),
                )) => {
                    return Err(reason);
                }
                Ok(Message::Event(_)) => {}
                Err(_) => return Err("evcxr has ended".to_owned()),
            }
        }
    }

    /// Compiles and runs code; `state` knows the items that a panic may come from.
    fn evaluate(
        &mut self,
        code: String,
        state: &NotebookState,
        listener: &mut dyn Listener,
    ) -> Evaluation {
        self.ran = 0.0;
        if let Err(reason) = self.evaluator.evaluate(code) {
            return Evaluation::ChildDied(died(&reason, &[]));
        }
        let mut error = None;
        let mut finished = false;
        let mut evaluated = None;
        let mut last_words = LastWords::new();
        // The answer comes from evcxr, the events over the pipe: the cell has ended when both
        // the answer and the pipe's end mark are here.
        loop {
            let message = match &evaluated {
                None => self
                    .messages
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(Evaluated::Ran) if finished => break,
                Some(Evaluated::Ran) => self.messages.recv_timeout(Duration::from_secs(2)),
                Some(_) => self.messages.recv_timeout(Duration::from_millis(50)),
            };
            match message {
                Ok(Message::Event(Event::Error { error: mut told })) => {
                    locate_in_cells(&mut told, state, &self.environment.folder);
                    error = Some(told);
                }
                Ok(Message::Event(Event::CellFinished { seconds, .. })) => {
                    finished = true;
                    self.ran = seconds;
                }
                Ok(Message::Event(Event::InputRequest {
                    id,
                    prompt,
                    password,
                })) => {
                    let value = listener.input(&prompt, password);
                    self.evaluator.answers.answer(&InputReply { id, value });
                }
                Ok(Message::Event(Event::Columns { variable, columns })) => {
                    self.columns.insert(variable, columns);
                }
                Ok(Message::Event(event)) => {
                    if let Event::Stream {
                        stream: Stream::Stderr,
                        text,
                    } = &event
                    {
                        last_words.hear(text);
                    }
                    listener.event(event);
                }
                Ok(Message::Evaluated(answer)) => evaluated = Some(answer),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    return Evaluation::ChildDied(died("evcxr has ended", &[]));
                }
            }
        }
        match evaluated {
            Some(Evaluated::CompileError(rendered)) => Evaluation::CompileError(rendered),
            Some(Evaluated::ChildDied(cause)) => {
                let lost = self.state.lose_all("the process that held it ended");
                let mut report = died(&last_words.cause(&cause), &lost);
                if let Err(reason) = self.load_prelude() {
                    report
                        .traceback
                        .push(format!("the process could not be started again: {reason}"));
                }
                Evaluation::ChildDied(report)
            }
            Some(Evaluated::Ran) | None => Evaluation::Ran(error.map_or(Ok(()), Err)),
        }
    }
}

enum Evaluation {
    Ran(Result<(), CellError>),
    CompileError(String),
    ChildDied(CellError),
}
