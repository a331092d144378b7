//! The live session: executes, completes and inspects cells.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use offmodel_cells::{Binding, Cell, Command, Item};
use offmodel_events::completion::Completions;
use offmodel_events::{CellError, Event, MimeBundle};

use crate::child::{ChildProcess, EvaluationEnd, Interrupter, Listener};
use crate::commands::{
    HELP, display_text, forget_code, show_variables_code, timing, unknown_command,
};
use crate::compile::{
    OutgoingVariables, ProbedTypes, cell_error, check, last_bindings, live_cell, locate_panic,
    probe,
};
use crate::completion::{CompletionContext, complete, inspect};
use crate::environment::Environment;
use crate::errors::{SessionError, compile_error, compiler_failed, parse_error, process_died};
use crate::extra_crates::SessionCrates;
use crate::notebook::NotebookState;
use crate::reference::{Reference, write_reference};

/// The live state of a notebook: what its cells have defined so far, and the child process that
/// holds the values of its variables.
#[derive(Debug)]
pub struct Session {
    notebook: NotebookState,
    extra_crates: SessionCrates,
    child: ChildProcess,
    /// Whether every cell reports its times (`:timing`).
    reports_times: bool,
    /// The seconds that the last cell ran, without its compilation.
    last_run_seconds: f64,
    reference: Option<Reference>,
    /// Whether a thread writes the reference, or has tried to.
    is_reference_requested: bool,
    // The last field, because it removes the session's folder when it is dropped: evcxr uses the
    // folder to the end.
    environment: Arc<Environment>,
}

impl Session {
    /// Starts the child process and loads the prelude into it, so that the first cell need not wait
    /// for that.
    ///
    /// A process can have one session at a time, and its `main` must have called
    /// [`enter_session_environment`](crate::enter_session_environment).
    ///
    /// # Errors
    /// When a part of the toolchain is missing, or the child does not start.
    pub fn start() -> Result<Self, SessionError> {
        let environment = Arc::new(Environment::current()?);
        let child = ChildProcess::start().map_err(SessionError::Evcxr)?;
        child.load_prelude().map_err(|reason| {
            SessionError::prelude_not_loaded(reason, &environment.toolchain.prelude)
        })?;
        Ok(Self {
            notebook: NotebookState::default(),
            extra_crates: SessionCrates::default(),
            child,
            reports_times: false,
            last_run_seconds: 0.0,
            reference: None,
            is_reference_requested: false,
            environment,
        })
    }

    /// Runs a cell and returns when it has ended. While it runs, `listener` receives its events and
    /// provides input.
    ///
    /// # Errors
    /// When the cell does not compile, fails or is interrupted, or when the child process ends. Only
    /// in the last case are variables lost.
    pub fn execute(
        &mut self,
        execution_count: usize,
        source: &str,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        let cell = offmodel_cells::parse(source).map_err(|error| parse_error(source, &error))?;
        self.extra_crates.cancellation().reset();
        let mut reports_times = self.reports_times;
        for command in &cell.commands {
            reports_times |= command.name == "time";
            self.run_command(command, execution_count, listener)?;
        }
        if cell.statements.is_empty() && cell.items.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let result = self.run_cell(&cell, execution_count, listener);
        if reports_times {
            listener.event(timing(
                started.elapsed().as_secs_f64(),
                self.last_run_seconds,
            ));
        }
        result
    }

    /// A handle that stops the running cell, from another thread.
    pub fn interrupter(&self) -> Interrupter {
        let cancellation = self.extra_crates.cancellation().clone();
        Interrupter::new(self.child.handle(), cancellation)
    }

    /// The candidates for completion at `cursor`, a byte offset.
    ///
    /// Names of the prelude are among them once [its reference](Self::prepare_reference) has been
    /// written.
    pub fn complete(&mut self, source: &str, cursor: usize) -> Completions {
        complete(self.completion_context(), source, cursor)
    }

    /// The documentation of the name at `cursor`, a byte offset.
    pub fn inspect(&mut self, source: &str, cursor: usize) -> Option<MimeBundle> {
        inspect(self.completion_context(), source, cursor)
    }

    /// Starts to write the reference of the prelude's names on another thread, unless it exists.
    ///
    /// This takes about half a minute of one core at low priority, once for every build of the
    /// prelude. Until then, completion and inspection have only the notebook's own names.
    pub fn prepare_reference(&mut self) {
        let toolchain = &self.environment.toolchain;
        if self.reference.is_none() {
            self.reference = Reference::open(toolchain);
        }
        if self.reference.is_none() && !self.is_reference_requested {
            self.is_reference_requested = true;
            let toolchain = toolchain.clone();
            // An error here is no error of a cell; `offmodel-kernel doctor` reports it.
            std::thread::spawn(move || write_reference(&toolchain));
        }
    }

    fn completion_context(&mut self) -> CompletionContext<'_> {
        self.prepare_reference();
        CompletionContext {
            notebook: &self.notebook,
            environment: &self.environment,
            reference: self.reference.as_ref(),
        }
    }

    fn run_command(
        &mut self,
        command: &Command,
        execution: usize,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        match command.name.as_str() {
            "help" => listener.event(display_text(HELP)),
            "dep" => {
                return self.extra_crates.add(command, &self.environment, listener);
            }
            "vars" => match show_variables_code(self.notebook.variables()) {
                Some(code) => return self.run_generated_cell(&code, execution, listener),
                None => listener.event(display_text("there are no variables yet")),
            },
            // `execute` looks for it, because it is about the whole cell.
            "time" => {}
            "timing" => {
                self.reports_times = !self.reports_times;
                let state = if self.reports_times { "on" } else { "off" };
                listener.event(display_text(format!("timing is {state}")));
            }
            "clear" => {
                let names = self.notebook.variables_mut().drop_all(":clear dropped it");
                return self.run_generated_cell(&forget_code(&names), execution, listener);
            }
            "?" => {
                let name = &command.arguments;
                let unknown = || MimeBundle::text(format!("{name} is not defined here"));
                let data = self.inspect(name, name.len()).unwrap_or_else(unknown);
                listener.event(Event::Display {
                    data,
                    display_id: None,
                });
            }
            other => return Err(unknown_command(other, command.line)),
        }
        Ok(())
    }

    /// Runs code of a command as a cell.
    fn run_generated_cell(
        &mut self,
        code: &str,
        execution: usize,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        let cell = offmodel_cells::parse(code).map_err(|error| parse_error(code, &error))?;
        self.run_cell(&cell, execution, listener)
    }

    /// Compiles and runs a cell, and brings the notebook's state up to date.
    fn run_cell(
        &mut self,
        cell: &Cell,
        execution: usize,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        let mut next = self.notebook.clone();
        next.define_items(cell, execution);
        let bindings = last_bindings(cell);
        let RanCell {
            result,
            types,
            outgoing,
            columns,
        } = self.compile_and_run(cell, execution, &next, &bindings, listener)?;
        self.notebook = next;
        let variables = self.notebook.variables_mut();
        variables.clear_stale();
        for (variable, columns) in columns {
            variables.set_columns(variable, columns);
        }
        for name in outgoing.moved() {
            let reason =
                format!("cell {execution} moved it; pass `{name}.clone()` there to keep it");
            variables.drop_variable(name, reason);
        }
        if result.is_ok() {
            // The cell may have run although its probe failed.
            let types = types.unwrap_or_else(|error| ProbedTypes::unknown(&bindings, &error));
            self.hand_on(types, &outgoing);
        }
        result
    }

    /// Compiles and runs a cell; `next` is the state with its items.
    ///
    /// The cell is compiled at once as if all of its variables could be handed on. At the same time,
    /// on another core, the probe determines the types of its variables, which only later cells
    /// need. If the cell does not compile, variables are excluded by the errors, and it is compiled
    /// again.
    ///
    /// The loop ends: each round returns or makes at least one more exclusion, and the
    /// [number of exclusions](OutgoingVariables::exclusions) is bounded.
    fn compile_and_run(
        &mut self,
        cell: &Cell,
        execution: usize,
        next: &NotebookState,
        bindings: &[Binding],
        listener: &mut dyn Listener,
    ) -> Result<RanCell, CellError> {
        let item_code = |item: &Item| format!("{}\n", &cell.code[item.range.clone()]);
        let items: String = cell.items.iter().map(item_code).collect();
        let environment = Arc::clone(&self.environment);
        std::thread::scope(|scope| {
            let probing = scope.spawn(|| probe(cell, execution, next, &environment));
            let panicked = |_| Err(compiler_failed("probe the cell", "the thread panicked"));
            let types = LazyCell::new(|| probing.join().unwrap_or_else(panicked));
            // The box of a closure depends on its signature, so such a cell has to wait for the
            // probe.
            let has_closure = bindings
                .iter()
                .any(|binding| binding.closure_parameters.is_some());
            let closures = match has_closure.then(|| types.as_ref()) {
                Some(Ok(types)) => types.closures.clone(),
                _ => BTreeMap::new(),
            };
            let mut outgoing = OutgoingVariables::new(bindings, &closures);
            loop {
                let links_shared_crates = self.extra_crates.links_shared_library();
                let statement = live_cell(cell, execution, next, &outgoing, links_shared_crates);
                let code = format!("{items}{}", statement.text());
                let evaluation = self.child.evaluate(code, listener);
                self.last_run_seconds = evaluation.run_seconds;
                let rendered = match evaluation.end {
                    EvaluationEnd::CompileError(rendered) => rendered,
                    EvaluationEnd::Ran(mut result) => {
                        if let Err(error) = &mut result {
                            locate_panic(error, next, &environment.folder);
                        }
                        return Ok(RanCell {
                            result,
                            types: Result::clone(&types),
                            outgoing,
                            columns: evaluation.columns,
                        });
                    }
                    EvaluationEnd::ChildEnded(cause) => return Err(self.child_ended(&cause)),
                    EvaluationEnd::EvcxrEnded(cause) => return Err(process_died(&cause, &[])),
                };
                let types = types.as_ref().map_err(Clone::clone)?;
                let exclusions_before = outgoing.exclusions();
                outgoing.exclude(&types.unnamed);
                if outgoing.exclusions() > exclusions_before {
                    continue;
                }
                let errors = check(&statement, next, &environment)?;
                let errors_of_user = outgoing.exclude_from_errors(errors, &statement);
                if !errors_of_user.is_empty() {
                    let variables = next.variables();
                    return Err(cell_error(
                        &errors_of_user,
                        &statement,
                        execution,
                        variables,
                    ));
                }
                if outgoing.exclusions() == exclusions_before {
                    return Err(compile_error(&rendered));
                }
            }
        })
    }

    /// Adds the variables of a cell that has succeeded to the notebook, and records why the others
    /// were dropped.
    fn hand_on(&mut self, types: ProbedTypes, outgoing: &OutgoingVariables) {
        let variables = self.notebook.variables_mut();
        for (name, variable) in types.named {
            variables.insert(&name, variable);
        }
        for new in outgoing.new_variables() {
            // Compiling the cell may have made the box of a closure less capable than the probe
            // assumed.
            if let Some(closure_box) = &new.closure {
                variables.set_type(&new.name, closure_box.to_string());
            }
        }
        for (name, reason) in types.unnamed {
            variables.drop_variable(&name, reason);
        }
        for (name, reason) in outgoing.dropped() {
            variables.drop_variable(name, reason);
        }
    }

    /// Starts over after the child process has ended with all variables; evcxr has started a new
    /// one. Returns the error of the cell.
    fn child_ended(&mut self, cause: &str) -> CellError {
        let variables = self.notebook.variables_mut();
        let lost = variables.drop_all("the process that held it ended");
        let mut error = process_died(cause, &lost);
        if let Err(reason) = self.child.load_prelude() {
            error.traceback.push(format!(
                "the process could not be started again: {reason}; restart the kernel"
            ));
        }
        error
    }
}

/// A cell that has run, successfully or not.
struct RanCell {
    result: Result<(), CellError>,
    /// The probe's answer.
    types: Result<ProbedTypes, CellError>,
    outgoing: OutgoingVariables,
    /// The columns of frames that the cell stored, by variable.
    columns: Vec<(String, Vec<String>)>,
}
