//! The thread on which the language lives.
//!
//! A language blocks while it runs a cell, and its state need not be [`Send`], so it is started,
//! used and dropped on one thread of its own. Handlers send it tasks and await the results.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use offmodel_events::CellError;
use tokio::sync::oneshot;

use crate::interrupts::Interrupts;
use crate::language::Language;
use crate::log::warning;

/// The stack of the thread; recursive parsers need more than the default of 2 MiB.
const STACK_BYTES: usize = 16 << 20;

/// Sends tasks to the thread, which runs them one after the other.
pub(crate) struct LanguageThread<L>(Sender<Command<L>>);

impl<L> Clone for LanguageThread<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

enum Command<L> {
    Run(Task<L>),
    Stop,
}

/// A task gets the error of the start in place of a language that did not start.
type Task<L> = Box<dyn FnOnce(Result<&mut L, &CellError>) + Send>;

impl<L: Language> LanguageThread<L> {
    /// Starts the thread, and returns without waiting for the language to start.
    pub(crate) fn start(interrupts: Interrupts) -> io::Result<(Self, JoinHandle<()>)> {
        let (sender, commands) = channel();
        let thread = std::thread::Builder::new()
            .name("offmodel-language".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || run_commands::<L>(&interrupts, &commands))?;
        Ok((Self(sender), thread))
    }

    /// Runs `task` once the language has started and all earlier tasks have ended.
    ///
    /// # Errors
    /// When the language did not start, or its thread has ended.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut L) -> R + Send + 'static,
    ) -> Result<R, CellError> {
        let (sender, result) = oneshot::channel();
        let task: Task<L> = Box::new(move |language| {
            // Fails only while the kernel shuts down, when the handlers have been aborted.
            let _ = sender.send(language.map(task).map_err(Clone::clone));
        });
        if self.0.send(Command::Run(task)).is_err() {
            return Err(thread_ended());
        }
        result.await.unwrap_or_else(|_| Err(thread_ended()))
    }

    /// Makes the thread drop the language and end, after the task in progress.
    pub(crate) fn stop(&self) {
        // Fails if the thread has ended already.
        let _ = self.0.send(Command::Stop);
    }
}

fn run_commands<L: Language>(interrupts: &Interrupts, commands: &Receiver<Command<L>>) {
    let started = Instant::now();
    let mut language = L::start();
    match &language {
        Ok(language) => {
            tracing::info!(
                seconds = started.elapsed().as_secs_f64(),
                "language started"
            );
            interrupts.set_interrupter(language.interrupter());
        }
        Err(error) => warning(format_args!("failed to start the language: {error}")),
    }
    while let Ok(Command::Run(task)) = commands.recv() {
        task(language.as_mut().map_err(|error| &*error));
    }
    tracing::debug!("language stops");
}

fn thread_ended() -> CellError {
    CellError::new(
        "kernel error",
        "the kernel can run no more cells: restart it",
    )
}
