//! Sends many requests concurrently, and sends requests that failed transiently again.
//!
//! 1. [`dispatch`] starts a thread with an async runtime of its own, so that a cell can call it
//!    inside or outside an async context.
//! 2. On that thread, [`RequestQueue`] sends up to `concurrency` requests at once, retries, and
//!    decides when to give up.
//! 3. On the calling thread, [`Collector`] stores responses as they arrive, updates the progress bar
//!    and checks for interrupts.
//! 4. When the collector stops, it drops a channel that the queue waits on, which closes all open
//!    connections at once. Responses that had arrived by then are still stored.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use offmodel_events::{Progress, interrupt};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::api_response::ApiResponse;
use super::endpoint::Endpoint;
use super::error::{RequestProblem, TeacherError};
use super::http_client::{HttpClient, RequestFailure, RetryDecision, Timeouts};
use super::request::Request;
use super::retry::RetryPolicy;
use crate::EvalError;

/// How often the calling thread checks for an interrupt.
const INTERRUPT_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Consecutive failures after which the remaining requests are abandoned: this many, or twice the
/// concurrency if that is more.
const MIN_FAILURES_TO_GIVE_UP: usize = 8;
/// Attempts of one request that may time out: each can take minutes.
const MAX_TIMEOUTS: u32 = 2;

/// Limits of concurrency, time and retries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Maximum number of concurrent requests.
    pub(super) concurrency: usize,
    pub(super) timeouts: Timeouts,
    pub(super) retries: RetryPolicy,
}

/// The result of a dispatch that ran to its end.
#[derive(Debug, Default)]
pub(super) struct DispatchResult {
    pub(super) answered: usize,
    /// The requests that failed, by index, in the order of failure.
    pub(super) failed: Vec<(usize, RequestProblem)>,
}

/// Why a dispatch ended early.
#[derive(Debug)]
pub(super) enum DispatchError {
    /// A problem affects every request.
    Refused(RequestProblem),
    /// The user interrupted, a response could not be stored, or the client could not start.
    Other(EvalError),
}

/// Sends every request, and calls `store` with the index and the response of each one that is
/// answered, as they arrive; also for those that arrive while an interrupt or error ends the dispatch.
pub(super) fn dispatch(
    endpoint: &Endpoint,
    requests: Vec<Request>,
    limits: Limits,
    label: &str,
    mut store: impl FnMut(usize, ApiResponse) -> Result<(), TeacherError>,
) -> Result<DispatchResult, DispatchError> {
    let mut progress = Progress::new(label, requests.len() as u64);
    let (messages, inbox) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let queue = RequestQueue {
        endpoint: endpoint.clone(),
        requests,
        limits,
        not_before: Mutex::new(None),
        messages,
    };
    std::thread::scope(|scope| {
        // The panic hook attributes panics of unnamed threads to the cell, so the thread needs a
        // name.
        let thread = std::thread::Builder::new()
            .name("teacher".to_owned())
            .spawn_scoped(scope, move || run(queue, stopped))
            .map_err(|source| failed_to_start(&source))?;
        let mut collector = Collector {
            label,
            progress: &mut progress,
            store: &mut store,
            result: DispatchResult::default(),
            retries: 0,
        };
        let ended = collector.collect(&inbox);
        // Wakes the queue, which drops all open requests.
        drop(stop);
        match thread.join() {
            Ok(started) => started.map_err(|error| DispatchError::Other(error.into()))?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        let rest = collector.drain(&inbox);
        ended.and(rest)?;
        Ok(collector.result)
    })
}

fn failed_to_start(source: &io::Error) -> DispatchError {
    let detail = source.to_string();
    DispatchError::Other(TeacherError::Client { detail }.into())
}

/// Sent from the queue to the collector.
enum RequestEvent {
    Answered(usize, ApiResponse),
    Failed(usize, RequestFailure),
    /// A request will be sent again because of this problem.
    Retrying(RequestProblem),
}

impl RequestEvent {
    /// Whether every other request would fail for the same reason.
    fn is_fatal(&self) -> bool {
        matches!(self, Self::Failed(_, failure) if failure.retry == RetryDecision::GiveUpAll)
    }
}

/// Stores responses and shows progress, on the calling thread.
struct Collector<'a, Store> {
    label: &'a str,
    progress: &'a mut Progress,
    store: &'a mut Store,
    result: DispatchResult,
    retries: usize,
}

impl<Store: FnMut(usize, ApiResponse) -> Result<(), TeacherError>> Collector<'_, Store> {
    /// Handles events until all requests are done or there is a reason to stop.
    fn collect(&mut self, inbox: &Receiver<RequestEvent>) -> Result<(), DispatchError> {
        loop {
            interrupt::check().map_err(|interrupted| DispatchError::Other(interrupted.into()))?;
            match inbox.recv_timeout(INTERRUPT_POLL_INTERVAL) {
                Ok(message) => self.take(message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Stores the responses that had arrived when the dispatch ended.
    fn drain(&mut self, inbox: &Receiver<RequestEvent>) -> Result<(), DispatchError> {
        inbox.try_iter().try_for_each(|message| match message {
            RequestEvent::Answered(..) => self.take(message),
            RequestEvent::Failed(..) | RequestEvent::Retrying(_) => Ok(()),
        })
    }

    fn take(&mut self, message: RequestEvent) -> Result<(), DispatchError> {
        match message {
            RequestEvent::Answered(index, response) => {
                (self.store)(index, response)
                    .map_err(|error| DispatchError::Other(error.into()))?;
                self.result.answered += 1;
                self.progress.advance(1);
            }
            RequestEvent::Failed(_, failure) if failure.retry == RetryDecision::GiveUpAll => {
                return Err(DispatchError::Refused(failure.problem));
            }
            RequestEvent::Failed(index, failure) => {
                self.result.failed.push((index, failure.problem));
                self.relabel(None);
                self.progress.advance(1);
            }
            RequestEvent::Retrying(problem) => {
                self.retries += 1;
                self.relabel(Some(&problem));
                self.progress.advance(0);
            }
        }
        Ok(())
    }

    fn relabel(&mut self, problem: Option<&RequestProblem>) {
        let mut label = self.label.to_owned();
        if self.retries > 0 {
            label += &format!(", {} retries", self.retries);
        }
        if let Some(problem) = problem {
            label += &format!(" (the last: {problem})");
        }
        if !self.result.failed.is_empty() {
            label += &format!(", {} failed", self.result.failed.len());
        }
        self.progress.set_label(label);
    }
}

/// Sends the requests, on a thread of its own.
struct RequestQueue {
    endpoint: Endpoint,
    requests: Vec<Request>,
    limits: Limits,
    /// No request is sent before this time, because the server requested a pause.
    not_before: Mutex<Option<Instant>>,
    messages: Sender<RequestEvent>,
}

fn run(queue: RequestQueue, stopped: oneshot::Receiver<()>) -> Result<(), TeacherError> {
    let client_error = |error: io::Error| TeacherError::Client {
        detail: error.to_string(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(client_error)?;
    let outcome = runtime.block_on(async {
        // Created here, because its connections belong to this runtime.
        let client = HttpClient::new(&queue.endpoint, queue.limits.timeouts)?;
        tokio::select! {
            // Completes when the sender is dropped, also if the calling thread panics.
            _ = stopped => {}
            () = queue.send_all(&client) => {}
        }
        Ok(())
    });
    // Does not wait for DNS lookups, which cannot be cancelled.
    runtime.shutdown_background();
    outcome
}

impl RequestQueue {
    /// Sends requests until all are done, too many fail in a row, or a failure affects all.
    ///
    /// The queue decides this, not the collector, which may lag behind: a server in trouble must not
    /// receive needless requests.
    async fn send_all(&self, client: &HttpClient) {
        let max_failures = MIN_FAILURES_TO_GIVE_UP.max(2 * self.limits.concurrency);
        let mut failures_in_a_row = 0;
        let mut results = stream::iter(self.requests.iter().enumerate())
            .map(async |(index, request)| (index, self.send_with_retries(client, request).await))
            .buffer_unordered(self.limits.concurrency);
        while failures_in_a_row < max_failures
            && let Some((index, result)) = results.next().await
        {
            let message = match result {
                Ok(response) => {
                    failures_in_a_row = 0;
                    RequestEvent::Answered(index, response)
                }
                Err(failure) => {
                    failures_in_a_row += 1;
                    RequestEvent::Failed(index, failure)
                }
            };
            let is_fatal = message.is_fatal();
            if self.messages.send(message).is_err() || is_fatal {
                return;
            }
        }
    }

    /// Sends a request until it is answered or its failure is final.
    async fn send_with_retries(
        &self,
        client: &HttpClient,
        request: &Request,
    ) -> Result<ApiResponse, RequestFailure> {
        let (mut attempt, mut timeouts) = (1, 0);
        loop {
            self.wait_for_delay().await;
            let failure = match client.send(request).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            timeouts += u32::from(matches!(failure.problem, RequestProblem::Timeout { .. }));
            let RetryDecision::Retry { wait } = failure.retry else {
                return Err(failure);
            };
            if attempt >= self.limits.retries.attempts || timeouts >= MAX_TIMEOUTS {
                return Err(failure);
            }
            let wait = wait.unwrap_or_default();
            let limit = self.limits.retries.longest_retry_after;
            if wait > limit {
                return Err(wait_too_long(failure, wait, limit));
            }
            self.delay_all(wait);
            let backoff = self.limits.retries.backoff(attempt, rand::random());
            // Fails only if the collector has stopped.
            let _ = self.messages.send(RequestEvent::Retrying(failure.problem));
            tokio::time::sleep(wait + backoff).await;
            attempt += 1;
        }
    }

    /// Delays all requests until the wait that the server requested is over.
    fn delay_all(&self, wait: Duration) {
        if wait.is_zero() {
            return;
        }
        let until = Instant::now() + wait;
        let mut not_before = self.lock_not_before();
        *not_before = Some(not_before.map_or(until, |earlier| earlier.max(until)));
    }

    async fn wait_for_delay(&self) {
        let until = *self.lock_not_before();
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    fn lock_not_before(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // A panic cannot leave an instant half-written.
        self.not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait_too_long(failure: RequestFailure, wait: Duration, limit: Duration) -> RequestFailure {
    let problem = match failure.problem {
        RequestProblem::Status { status, .. } => RequestProblem::Wait {
            status,
            wait,
            limit,
        },
        other => other,
    };
    RequestFailure {
        problem,
        retry: RetryDecision::GiveUp,
    }
}
