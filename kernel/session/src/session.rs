use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use offmodel_cells::{Cell, Command, line_and_column};
use offmodel_events::{CellError, Event, MimeBundle};
use offmodel_toolchain::wrapper::WRAPPER_VARIABLE;
use offmodel_toolchain::{Toolchain, ToolchainError};

use crate::child::Interrupter;
use crate::complete::{Completions, complete};
use crate::diagnostics::{self, Diagnostic};
use crate::evaluator::{Evaluated, Evaluator};
use crate::generate::{Exceptions, cell_statement};
use crate::notebook_state::NotebookState;
use crate::panics::locate_in_earlier_cell;
use crate::probe::{Probed, check, probe};
use crate::source::{Origin, Source};

/// How a session is started.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SessionOptions {}

/// Why a session could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Compiler, prelude or libtorch are missing.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The session's folder for generated code could not be made.
    #[error("failed to make a folder for the session's code")]
    Folder(#[source] std::io::Error),
    /// evcxr or its child did not start.
    #[error("failed to start evcxr: {0}")]
    Evaluator(String),
    /// The prelude did not load into the child.
    #[error("failed to load the prelude: {0}")]
    Prelude(String),
}

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
    toolchain: Toolchain,
    state: NotebookState,
    evaluator: Evaluator,
    messages: Receiver<Message>,
    folder: tempfile::TempDir,
}

impl Session {
    /// Starts the child process and loads the prelude into it, so that the first cell does not
    /// wait for that.
    ///
    /// # Errors
    /// When a part of the toolchain is missing, or the child does not start.
    pub fn start(_options: SessionOptions) -> Result<Self, SessionError> {
        let toolchain = Toolchain::locate()?;
        let folder = tempfile::Builder::new()
            .prefix("offmodel-session-")
            .tempdir()
            .map_err(SessionError::Folder)?;
        prepare_environment(&toolchain, folder.path());
        let (sender, messages) = channel();
        let evaluator = Evaluator::start(sender).map_err(SessionError::Evaluator)?;
        let mut session = Self {
            toolchain,
            state: NotebookState::default(),
            evaluator,
            messages,
            folder,
        };
        session.load_prelude().map_err(SessionError::Prelude)?;
        Ok(session)
    }

    /// Runs a cell and returns when it has ended. Everything it shows is passed to `on_event`
    /// while it runs.
    ///
    /// # Errors
    /// When the cell does not compile, fails or is interrupted, or the child process dies. Its
    /// variables stay in all but the last case.
    pub fn execute(
        &mut self,
        execution_count: usize,
        source: &str,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), CellError> {
        let cell = offmodel_cells::parse(source).map_err(|error| parse_failure(source, &error))?;
        for command in &cell.commands {
            self.run_command(command, on_event)?;
        }
        if cell.statements.is_empty() && cell.items.is_empty() {
            return Ok(());
        }
        let probed = probe(&cell, &self.state, &self.toolchain, self.folder.path())?;
        let items_before = self.state.clone();
        self.state.define_items(&cell, execution_count);
        let result = self.run_cell(&cell, execution_count, &probed, on_event);
        if result.is_err() && cell.statements.is_empty() {
            self.state = items_before;
        }
        result
    }

    /// A handle that stops the running cell, from another thread.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter::new(self.evaluator.child.clone())
    }

    /// Names that could stand at `cursor`, a byte offset.
    pub fn complete(&mut self, source: &str, cursor: usize) -> Completions {
        complete(&self.state, source, cursor)
    }

    /// What is known about the name at `cursor`, a byte offset.
    pub fn inspect(&mut self, source: &str, cursor: usize) -> Option<MimeBundle> {
        let name = word_at(source, cursor)?;
        self.describe(name)
    }

    fn describe(&self, name: &str) -> Option<MimeBundle> {
        if let Some((_, variable)) = self.state.variables().find(|(known, _)| *known == name) {
            return Some(MimeBundle::text(format!("{name}: {}", variable.type_name)));
        }
        let code: Vec<&str> = self
            .state
            .items()
            .iter()
            .filter(|item| item.owner.as_deref() == Some(name))
            .map(|item| item.code.as_str())
            .collect();
        (!code.is_empty()).then(|| MimeBundle::text(code.join("\n\n")))
    }

    fn run_command(
        &mut self,
        command: &Command,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), CellError> {
        let text = match command.name.as_str() {
            "help" => HELP.to_owned(),
            "vars" => self
                .state
                .variables()
                .map(|(name, variable)| format!("{name}: {}", variable.type_name))
                .collect::<Vec<_>>()
                .join("\n"),
            "?" => {
                let unknown =
                    || MimeBundle::text(format!("{} is not defined here", command.arguments));
                let data = self.describe(&command.arguments).unwrap_or_else(unknown);
                on_event(Event::Display {
                    data,
                    display_id: None,
                });
                return Ok(());
            }
            other => return Err(unknown_command(other, command.line)),
        };
        on_event(Event::Display {
            data: MimeBundle::text(text),
            display_id: None,
        });
        Ok(())
    }

    /// Compiles and runs a cell that the probe found right.
    ///
    /// What the probe cannot see, because type questions end the compiler's work before it
    /// checks borrows, shows in the first real compilation: which variables the cell moves, and
    /// which borrow. Those are left out and the cell is compiled again.
    fn run_cell(
        &mut self,
        cell: &Cell,
        execution: usize,
        probed: &Probed,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), CellError> {
        let mentioned = self.state.mentioned(cell);
        let items: String = cell
            .items
            .iter()
            .map(|item| format!("{}\n", &cell.code[item.range.clone()]))
            .collect();
        let mut exceptions = Exceptions::default();
        for _ in 0..4 {
            let statement = cell_statement(cell, execution, &mentioned, probed, &exceptions);
            let evaluated = self.evaluate(format!("{items}{}", statement.text()), on_event);
            match evaluated {
                Evaluation::Ran(result) => {
                    self.settle(execution, probed, &exceptions, result.is_ok());
                    return result;
                }
                Evaluation::ChildDied(error) => return Err(error),
                Evaluation::CompileError(rendered) => {
                    let errors =
                        check(&statement, &self.state, &self.toolchain, self.folder.path())?;
                    let before = (exceptions.moved.len(), exceptions.unkept.len());
                    let own: Vec<_> = errors
                        .into_iter()
                        .filter(|error| !learn(error, &statement, probed, &mut exceptions))
                        .collect();
                    if !own.is_empty() {
                        return Err(diagnostics::cell_error(
                            &own,
                            &statement,
                            &cell.code,
                            &self.state,
                        ));
                    }
                    if before == (exceptions.moved.len(), exceptions.unkept.len()) {
                        return Err(compile_failure(&rendered));
                    }
                }
            }
        }
        Err(compile_failure(
            "the cell's variables could not be sorted out",
        ))
    }

    /// Brings the known variables up to date after a cell has run.
    fn settle(
        &mut self,
        execution: usize,
        probed: &Probed,
        exceptions: &Exceptions,
        succeeded: bool,
    ) {
        for name in &exceptions.moved {
            let reason =
                format!("cell {execution} moved it; pass `{name}.clone()` there to keep it");
            self.state.lose(name, reason);
        }
        if !succeeded {
            return;
        }
        for (name, variable) in &probed.kept {
            if exceptions.unkept.contains(name) {
                self.state.lose(
                    name,
                    "it borrows from another variable of its cell".to_owned(),
                );
            } else {
                self.state.keep(name, variable.clone());
            }
        }
        for (name, reason) in &probed.lost {
            self.state.lose(name, reason.clone());
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

    fn evaluate(&mut self, code: String, on_event: &mut dyn FnMut(Event)) -> Evaluation {
        if let Err(reason) = self.evaluator.evaluate(code) {
            return Evaluation::ChildDied(died(&reason, &[]));
        }
        let mut error = None;
        let mut finished = false;
        let mut evaluated = None;
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
                    locate_in_earlier_cell(&mut told, &self.state, self.folder.path());
                    error = Some(told);
                }
                Ok(Message::Event(Event::CellFinished { .. })) => finished = true,
                Ok(Message::Event(event)) => on_event(event),
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
                let mut report = died(&cause, &lost);
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

/// Notes what an error in our own lines says about a variable; false for the user's errors.
fn learn(
    error: &Diagnostic,
    statement: &Source,
    probed: &Probed,
    exceptions: &mut Exceptions,
) -> bool {
    let ours = error
        .spans
        .iter()
        .find_map(|span| match statement.origin(span.line_start) {
            Origin::Variable { name } => Some(name.clone()),
            _ => None,
        });
    let Some(name) = ours else { return false };
    let used_after_move = error
        .primary()
        .and_then(|span| span.label.as_deref())
        .is_some_and(|label| label.contains("after move"));
    let is_new = probed.kept.iter().any(|(known, _)| *known == name);
    // A variable that the cell both moves and defines anew fails in two of our lines: first
    // leave out the new one, then, if that was not it, the old one.
    if used_after_move && (!is_new || exceptions.unkept.contains(&name)) {
        exceptions.moved.push(name);
    } else {
        exceptions.unkept.push(name);
    }
    true
}

/// The environment that evcxr, its Cargo and its child start in.
fn prepare_environment(toolchain: &Toolchain, folder: &Path) {
    let own_program = std::env::current_exe().unwrap_or_default();
    let mut path = std::ffi::OsString::from(toolchain.sysroot.join("bin"));
    if let Some(inherited) = std::env::var_os("PATH") {
        path.push(":");
        path.push(inherited);
    }
    let variables: [(&str, std::ffi::OsString); 6] = [
        // Cargo and rustc themselves: rustup's proxies cost 50 ms a call.
        ("PATH", path),
        ("RUSTC_WRAPPER", own_program.into()),
        (WRAPPER_VARIABLE, "1".into()),
        ("EVCXR_TMPDIR", folder.as_os_str().to_owned()),
        // The user's evcxr settings (optimisation, prelude) are not meant for us.
        ("EVCXR_CONFIG_DIR", folder.join("configuration").into()),
        ("LD_LIBRARY_PATH", toolchain.library_path()),
    ];
    for (name, value) in variables {
        // SAFETY: the session is started before its program has other threads that read the
        // environment; the kernel does so in `main`.
        unsafe { std::env::set_var(name, value) };
    }
}

fn parse_failure(source: &str, error: &offmodel_cells::ParseError) -> CellError {
    let line = source
        .lines()
        .nth(error.line.saturating_sub(1))
        .unwrap_or_default();
    let marker = " ".repeat(error.column.saturating_sub(1));
    CellError {
        name: "compile error".to_owned(),
        value: format!(
            "{} (line {}, column {})",
            error.message, error.line, error.column
        ),
        traceback: vec![format!(
            "\u{1b}[1;31merror\u{1b}[0m: {}\n --> cell:{}:{}\n  | {line}\n  | {marker}^",
            error.message, error.line, error.column
        )],
        line: Some(error.line),
    }
}

fn compile_failure(rendered: &str) -> CellError {
    CellError {
        name: "compile error".to_owned(),
        value: rendered
            .lines()
            .next()
            .unwrap_or("the cell does not compile")
            .to_owned(),
        traceback: rendered.lines().map(str::to_owned).collect(),
        line: None,
    }
}

fn died(cause: &str, lost: &[String]) -> CellError {
    let what = match lost {
        [] => "no variable was lost".to_owned(),
        names => format!("lost with it: {}", names.join(", ")),
    };
    let value = format!("the process that runs the cells ended: {}", cause.trim());
    CellError {
        name: "process died".to_owned(),
        traceback: vec![
            value.clone(),
            format!("{what}; definitions of functions and types are kept"),
        ],
        value,
        line: None,
    }
}

fn unknown_command(name: &str, line: usize) -> CellError {
    CellError {
        name: "unknown command".to_owned(),
        value: format!("there is no command :{name}; :help lists them"),
        traceback: vec![
            format!("line {line}: there is no command :{name}"),
            HELP.to_owned(),
        ],
        line: Some(line),
    }
}

fn word_at(source: &str, cursor: usize) -> Option<&str> {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    let (line, column) = line_and_column(source, cursor);
    let text = source.lines().nth(line - 1)?;
    let at = text
        .char_indices()
        .nth(column - 1)
        .map_or(text.len(), |(index, _)| index);
    let start = text[..at]
        .rfind(|c: char| !part(c))
        .map_or(0, |index| index + 1);
    let end = text[at..]
        .find(|c: char| !part(c))
        .map_or(text.len(), |index| at + index);
    let start = (start..=at).find(|&index| text.is_char_boundary(index))?;
    (start < end).then(|| &text[start..end])
}

const HELP: &str = "\
A cell is Rust; its last expression, without a semicolon, is shown.
  :vars     the variables of the session and their types
  :help     this text
  ?name     what a name is";
