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

/// Turns the events of a cell into messages whose parent is the cell's `execute_request`.
pub(crate) struct CellFrontend {
    pub request: Arc<JupyterMessage>,
    pub execution_count: usize,
    /// Whether the front end asked for no outputs.
    pub silent: bool,
    /// Whether the front end accepts an `input_request`.
    pub allow_stdin: bool,
    pub iopub: IoPub,
    pub stdin: Arc<Mutex<Stdin>>,
    pub interrupts: Interrupts,
    pub runtime: Handle,
    /// The plain text of the cell's result, for the history.
    pub result_text: Option<String>,
    /// The [payloads](https://jupyter-client.readthedocs.io/en/stable/messaging.html#payloads-deprecated)
    /// of the `execute_reply`.
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
        // This is the language's own thread, which may block.
        self.runtime.block_on(async {
            // Outputs travel on another socket: those before the prompt have to be sent first.
            self.iopub.flush().await;
            let mut stdin = self.stdin.lock().await;
            stdin
                .request_input(
                    &self.request,
                    prompt,
                    password,
                    self.interrupts.interrupted(),
                )
                .await
        })
    }
}
