//! [`execute_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jupyter_protocol::{
    ExecuteInput, ExecuteReply, ExecuteRequest, ExecutionCount, ExpressionResult, JupyterMessage,
    Payload, ReplyError, ReplyStatus,
};
use offmodel_events::CellError;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::frontend::CellFrontend;
use super::history::History;
use crate::interrupts::{Interrupts, interrupted_before_start};
use crate::language::{Cell, Language};
use crate::language_thread::LanguageThread;
use crate::sockets::iopub::IoPub;
use crate::sockets::requests::{Request, RequestCounter};
use crate::sockets::stdin::Stdin;
use crate::wire::outgoing::{reply, untyped_reply};
use crate::wire::outputs::{error_output, media, reply_error};

/// Cells received within this time after an error are aborted too. "Run all" sends every cell at
/// once, and a cell that does not parse may fail before the ones behind it have been received.
const ABORT_WINDOW: Duration = Duration::from_millis(50);

/// Executes cells and counts them.
pub(crate) struct Executor<L> {
    pub language: LanguageThread<L>,
    pub iopub: IoPub,
    pub stdin: Arc<Mutex<Stdin>>,
    pub interrupts: Interrupts,
    /// Counts the requests that the shell socket has received.
    pub received: RequestCounter,
    pub history: History,
    /// The number of the latest cell that was stored in the history.
    pub execution_count: usize,
    /// Cells up to this sequence number are aborted, because a cell before them failed.
    pub abort_through: u64,
}

/// What the replies and the history need of a cell that has been executed.
struct ExecutedCell {
    result: Result<(), CellError>,
    user_expressions: HashMap<String, ExpressionResult>,
    result_text: Option<String>,
    payload: Vec<Payload>,
}

impl ExecutedCell {
    fn with_result(result: Result<(), CellError>) -> Self {
        Self {
            result,
            user_expressions: HashMap::new(),
            result_text: None,
            payload: Vec::new(),
        }
    }
}

impl<L: Language> Executor<L> {
    /// Executes a cell, unless a cell before it failed, and returns the reply.
    pub(crate) async fn execute(
        &mut self,
        request: &Request,
        content: ExecuteRequest,
    ) -> JupyterMessage {
        let message = &request.message;
        if request.sequence <= self.abort_through {
            tracing::info!(request = message.header.msg_id, "cell aborted");
            // JupyterLab would show an execution count beside the cell as if it had run.
            return untyped_reply(message, json!({ "status": "aborted" }));
        }
        reply(message, self.count_and_run(message, content).await)
    }

    async fn count_and_run(
        &mut self,
        message: &Arc<JupyterMessage>,
        content: ExecuteRequest,
    ) -> ExecuteReply {
        let store_history = content.store_history && !content.silent;
        let execution_count = self.execution_count + 1;
        if store_history {
            self.execution_count = execution_count;
        }
        if !content.silent {
            let input = ExecuteInput {
                code: content.code.clone(),
                execution_count: ExecutionCount::new(execution_count),
            };
            self.iopub.publish(Some(message), input).await;
        }
        let cell = self.run(message, &content, execution_count).await;
        if store_history {
            self.history
                .record(execution_count, content.code, cell.result_text);
        }
        let Err(error) = cell.result else {
            return ExecuteReply {
                payload: cell.payload,
                ..execute_reply(execution_count, cell.user_expressions, None)
            };
        };
        if !content.silent {
            self.iopub
                .publish(Some(message), error_output(&error))
                .await;
        }
        if content.stop_on_error {
            tokio::time::sleep(ABORT_WINDOW).await;
            self.abort_through = self.received.latest();
        }
        execute_reply(
            execution_count,
            cell.user_expressions,
            Some(reply_error(&error)),
        )
    }

    async fn run(
        &self,
        message: &Arc<JupyterMessage>,
        content: &ExecuteRequest,
        execution_count: usize,
    ) -> ExecutedCell {
        let mut frontend = CellFrontend {
            request: Arc::clone(message),
            execution_count,
            silent: content.silent,
            allow_stdin: content.allow_stdin,
            iopub: self.iopub.clone(),
            stdin: Arc::clone(&self.stdin),
            interrupts: self.interrupts.clone(),
            runtime: Handle::current(),
            result_text: None,
            payload: Vec::new(),
        };
        let source = content.code.clone();
        let expressions = content.user_expressions.clone().unwrap_or_default();
        tracing::info!(
            execution_count,
            request = message.header.msg_id,
            "cell started"
        );
        let started = Instant::now();
        let running = self.interrupts.start_cell(message);
        let executed = self.language.run(move |language| {
            let cell = Cell {
                execution_count,
                source: &source,
            };
            let result = if frontend.interrupts.is_interrupted() {
                Err(interrupted_before_start())
            } else {
                language.execute(cell, &mut frontend)
            };
            let mut executed = ExecutedCell::with_result(result);
            executed.result_text = frontend.result_text.take();
            if executed.result.is_ok() {
                executed.user_expressions =
                    evaluate(language, execution_count, expressions, &mut frontend);
                executed.payload = frontend.payload;
            }
            executed
        });
        let executed = executed.await;
        drop(running);
        let executed = executed.unwrap_or_else(|error| ExecutedCell::with_result(Err(error)));
        tracing::info!(
            execution_count,
            succeeded = executed.result.is_ok(),
            seconds = started.elapsed().as_secs_f64(),
            "cell ended"
        );
        executed
    }
}

/// Evaluates the `user_expressions` of a cell; each has a value or an error of its own.
fn evaluate<L: Language>(
    language: &mut L,
    execution_count: usize,
    expressions: HashMap<String, String>,
    frontend: &mut CellFrontend,
) -> HashMap<String, ExpressionResult> {
    let evaluate = |(name, source): (String, String)| {
        let expression = Cell {
            execution_count,
            source: &source,
        };
        let result = match language.evaluate(expression, frontend) {
            Ok(data) => ExpressionResult::Ok {
                data: media(data),
                metadata: Default::default(),
            },
            Err(CellError {
                name: ename,
                value: evalue,
                traceback,
                ..
            }) => ExpressionResult::Error {
                ename,
                evalue,
                traceback,
            },
        };
        (name, result)
    };
    expressions.into_iter().map(evaluate).collect()
}

fn execute_reply(
    execution_count: usize,
    user_expressions: HashMap<String, ExpressionResult>,
    error: Option<ReplyError>,
) -> ExecuteReply {
    ExecuteReply {
        status: match error {
            Some(_) => ReplyStatus::Error,
            None => ReplyStatus::Ok,
        },
        execution_count: ExecutionCount::new(execution_count),
        payload: Vec::new(),
        // A map even if it is empty, because clients iterate over it.
        user_expressions: Some(user_expressions),
        error: error.map(Box::new),
    }
}
