//! The thread on which the language lives.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use offmodel_events::CellError;
use tokio::sync::oneshot;

use crate::interrupts::Interrupts;
use crate::language::Language;
use crate::log::warning;

/// Room for recursive parsers.
const STACK_BYTES: usize = 16 << 20;

/// Runs work with the language, one piece after the other.
pub(crate) struct LanguageThread<L>(Sender<Work<L>>);

impl<L> Clone for LanguageThread<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

enum Work<L> {
    Run(Task<L>),
    Stop,
}

type Task<L> = Box<dyn FnOnce(Result<&mut L, &CellError>) + Send>;

impl<L: Language> LanguageThread<L> {
    /// Begins to start the language, and returns without waiting for it.
    pub fn start(interrupts: Interrupts) -> io::Result<(Self, JoinHandle<()>)> {
        let (sender, work) = channel();
        let thread = std::thread::Builder::new()
            .name("offmodel-language".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || serve::<L>(&interrupts, &work))?;
        Ok((Self(sender), thread))
    }

    /// Runs `work` once the language is ready and all earlier work is done.
    ///
    /// # Errors
    /// When the language did not start, or its thread has ended.
    pub async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut L) -> R + Send + 'static,
    ) -> Result<R, CellError> {
        let (sender, answer) = oneshot::channel();
        let task: Task<L> = Box::new(move |language| {
            // That nobody waits for the answer any more only happens when the kernel ends.
            let _ = sender.send(language.map(work).map_err(Clone::clone));
        });
        if self.0.send(Work::Run(task)).is_err() {
            return Err(thread_ended());
        }
        answer.await.unwrap_or_else(|_| Err(thread_ended()))
    }

    /// Drops the language after the work in progress, and ends the thread.
    pub fn stop(&self) {
        // Has ended already.
        let _ = self.0.send(Work::Stop);
    }
}

fn serve<L: Language>(interrupts: &Interrupts, work: &Receiver<Work<L>>) {
    let mut language = L::start();
    match &language {
        Ok(language) => interrupts.ready(language.interrupter()),
        Err(error) => warning(format_args!("failed to start the language: {error}")),
    }
    while let Ok(Work::Run(task)) = work.recv() {
        task(language.as_mut().map_err(|error| &*error));
    }
}

fn thread_ended() -> CellError {
    CellError::new(
        "kernel error",
        "the kernel can run no more cells: restart it",
    )
}
