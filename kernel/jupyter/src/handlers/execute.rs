//! [`execute_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

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
use crate::interrupts::{Interrupts, interrupted_early};
use crate::language::{Cell, Language};
use crate::language_thread::LanguageThread;
use crate::sockets::iopub::IoPub;
use crate::sockets::requests::{Arrival, ArrivalCount};
use crate::sockets::stdin::Stdin;
use crate::wire::outgoing::{reply, untyped_reply};
use crate::wire::outputs::{error_output, media, reply_error};

/// After an error, requests that arrive within this time are taken to have been sent before it
/// was known: "run all" sends every cell at once, and a cell that does not parse fails at once.
const UNDER_WAY: Duration = Duration::from_millis(50);

/// Runs cells, and counts them.
pub(crate) struct Executor<L> {
    pub language: LanguageThread<L>,
    pub iopub: IoPub,
    pub stdin: Arc<Mutex<Stdin>>,
    pub interrupts: Interrupts,
    pub arrivals: ArrivalCount,
    pub history: History,
    /// The number of the latest cell that counted.
    pub execution_count: usize,
    /// Cells up to this arrival are not run, because one before them failed.
    pub aborted_until: u64,
}

/// What running a cell gave.
struct Outcome {
    result: Result<(), CellError>,
    expressions: HashMap<String, ExpressionResult>,
    result_text: Option<String>,
    payload: Vec<Payload>,
}

impl Outcome {
    fn of(result: Result<(), CellError>) -> Self {
        Self {
            result,
            expressions: HashMap::new(),
            result_text: None,
            payload: Vec::new(),
        }
    }
}

impl<L: Language> Executor<L> {
    /// Runs a cell, or not if one before it failed, and gives the reply.
    pub async fn execute(&mut self, arrival: &Arrival, request: ExecuteRequest) -> JupyterMessage {
        let message = &arrival.message;
        if arrival.number <= self.aborted_until {
            // Without a number: JupyterLab would write it beside a cell that was not run.
            return untyped_reply(message, json!({ "status": "aborted" }));
        }
        reply(message, self.count_and_run(message, request).await)
    }

    async fn count_and_run(
        &mut self,
        message: &Arc<JupyterMessage>,
        request: ExecuteRequest,
    ) -> ExecuteReply {
        let store_history = request.store_history && !request.silent;
        let execution_count = self.execution_count + 1;
        if store_history {
            self.execution_count = execution_count;
        }
        if !request.silent {
            let input = ExecuteInput {
                code: request.code.clone(),
                execution_count: ExecutionCount::new(execution_count),
            };
            self.iopub.publish(Some(message), input).await;
        }
        let outcome = self.run(message, &request, execution_count).await;
        if store_history {
            self.history
                .record(execution_count, request.code, outcome.result_text);
        }
        let Err(error) = outcome.result else {
            let Outcome {
                expressions,
                payload,
                ..
            } = outcome;
            return ExecuteReply {
                payload,
                ..execute_reply(execution_count, expressions, None)
            };
        };
        if !request.silent {
            self.iopub
                .publish(Some(message), error_output(&error))
                .await;
        }
        if request.stop_on_error {
            tokio::time::sleep(UNDER_WAY).await;
            self.aborted_until = self.arrivals.latest();
        }
        execute_reply(
            execution_count,
            outcome.expressions,
            Some(reply_error(&error)),
        )
    }

    async fn run(
        &self,
        message: &Arc<JupyterMessage>,
        request: &ExecuteRequest,
        execution_count: usize,
    ) -> Outcome {
        let mut frontend = CellFrontend {
            request: Arc::clone(message),
            execution_count,
            silent: request.silent,
            allow_stdin: request.allow_stdin,
            iopub: self.iopub.clone(),
            stdin: Arc::clone(&self.stdin),
            interrupts: self.interrupts.clone(),
            runtime: Handle::current(),
            result_text: None,
            payload: Vec::new(),
        };
        let source = request.code.clone();
        let wanted = request.user_expressions.clone().unwrap_or_default();
        let interruptible = self.interrupts.begin(message);
        let outcome = self.language.run(move |language| {
            let cell = Cell {
                execution_count,
                source: &source,
            };
            let result = if frontend.interrupts.is_interrupted() {
                Err(interrupted_early())
            } else {
                language.execute(cell, &mut frontend)
            };
            let mut outcome = Outcome::of(result);
            outcome.result_text = frontend.result_text.take();
            if outcome.result.is_ok() {
                outcome.expressions = evaluate(language, execution_count, wanted, &mut frontend);
                outcome.payload = frontend.payload;
            }
            outcome
        });
        let outcome = outcome.await;
        drop(interruptible);
        outcome.unwrap_or_else(|error| Outcome::of(Err(error)))
    }
}

/// The values of `user_expressions`; what goes wrong with one concerns no other.
fn evaluate<L: Language>(
    language: &mut L,
    execution_count: usize,
    wanted: HashMap<String, String>,
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
    wanted.into_iter().map(evaluate).collect()
}

fn execute_reply(
    execution_count: usize,
    expressions: HashMap<String, ExpressionResult>,
    error: Option<ReplyError>,
) -> ExecuteReply {
    ExecuteReply {
        status: if error.is_some() {
            ReplyStatus::Error
        } else {
            ReplyStatus::Ok
        },
        execution_count: ExecutionCount::new(execution_count),
        payload: Vec::new(),
        // A map even when empty: clients iterate over it.
        user_expressions: Some(expressions),
        error: error.map(Box::new),
    }
}
