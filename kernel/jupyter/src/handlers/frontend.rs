//! The front end as a running cell sees it.

use std::sync::Arc;

use jupyter_protocol::{JupyterMessage, Payload};
use offmodel_events::{Event, MimeBundle};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::interrupts::Interrupts;
use crate::language::{Frontend, InputError};
use crate::sockets::iopub::IoPub;
use crate::sockets::stdin::Stdin;
use crate::wire::outputs::{media, output};

/// Turns what a cell says into messages whose parent is the cell's request.
pub(crate) struct CellFrontend {
    pub request: Arc<JupyterMessage>,
    pub execution_count: usize,
    /// Nothing is to be shown.
    pub silent: bool,
    /// Questions are welcome.
    pub allow_stdin: bool,
    pub iopub: IoPub,
    pub stdin: Arc<Mutex<Stdin>>,
    pub interrupts: Interrupts,
    pub runtime: Handle,
    /// The text form of the cell's result, for the history.
    pub result_text: Option<String>,
    /// What the reply asks the front end to do.
    pub payload: Vec<Payload>,
}

impl Frontend for CellFrontend {
    fn event(&mut self, event: Event) {
        if let Event::Result { data } = &event {
            self.result_text = data.get("text/plain").map(str::to_owned);
        }
        if self.silent {
            return;
        }
        if let Some(content) = output(event, self.execution_count) {
            self.iopub.publish_blocking(&self.request, content);
        }
    }

    fn page(&mut self, data: MimeBundle) {
        self.payload.push(Payload::Page {
            data: media(data),
            start: 0,
        });
    }

    fn input(&mut self, prompt: &str, password: bool) -> Result<String, InputError> {
        if !self.allow_stdin {
            return Err(InputError::NotSupported);
        }
        // We are on the language's own thread: it may wait.
        self.runtime.block_on(async {
            // What the cell has said so far belongs before the question.
            self.iopub.flush().await;
            let mut stdin = self.stdin.lock().await;
            stdin
                .ask(
                    &self.request,
                    prompt,
                    password,
                    self.interrupts.interrupted(),
                )
                .await
        })
    }
}
