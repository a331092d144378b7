//! Many requests at once, with a limit, repeated where that may help.
//!
//! The requests run on a thread of their own, so that a cell may call this inside or outside of
//! an asynchronous context; the calling thread stores what arrives and watches for interrupts.
//! When it has seen enough, every open connection is closed at once.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use offmodel_events::{Progress, interrupt};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::error::{RequestProblem, TeacherError};
use super::exchange::{Exchange, Failure, Remedy, Timeouts};
use super::request::Request;
use super::retry::RetryPolicy;
use crate::EvalError;

/// How often the calling thread looks for an interrupt.
const WATCH: Duration = Duration::from_millis(20);
/// Requests that may fail one after another, without an answer between them, before the rest is
/// given up: at least this many, and twice as many as are under way at once.
const FEWEST_FAILURES_TO_GIVE_UP: usize = 8;
/// A request that took all of its time is sent once more only.
const MOST_TIMEOUTS: u32 = 2;

/// How requests are sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Most requests under way at once.
    pub(super) concurrency: usize,
    pub(super) timeouts: Timeouts,
    pub(super) retries: RetryPolicy,
}

/// What came of a dispatch that was not stopped.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) answered: usize,
    /// Requests that failed, by their position, in the order in which they did.
    pub(super) failed: Vec<(usize, RequestProblem)>,
}

/// Why a dispatch was stopped.
#[derive(Debug)]
pub(super) enum Stopped {
    /// By a problem that all requests share.
    Refused(RequestProblem),
    /// By the user, or because an answer could not be kept or no request be sent.
    Other(EvalError),
}

/// Sends every request; `keep` is given the position and the answer of each that is answered, as
/// they arrive, also of those that arrive while an interrupt or an error ends the work.
pub(super) fn dispatch(
    endpoint: &Endpoint,
    requests: Vec<Request>,
    limits: Limits,
    label: &str,
    mut keep: impl FnMut(usize, Answer) -> Result<(), TeacherError>,
) -> Result<Outcome, Stopped> {
    let mut progress = Progress::new(label, requests.len() as u64);
    let (messages, inbox) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let queue = Queue {
        endpoint: endpoint.clone(),
        requests,
        limits,
        not_before: Mutex::new(None),
        messages,
    };
    std::thread::scope(|scope| {
        // Named: a panic of a thread without a name is taken for the cell's own.
        let thread = std::thread::Builder::new()
            .name("teacher".to_owned())
            .spawn_scoped(scope, move || run(queue, stopped))
            .map_err(|source| failed_to_start(&source))?;
        let mut desk = Desk {
            label,
            progress: &mut progress,
            keep: &mut keep,
            outcome: Outcome::default(),
            retries: 0,
        };
        let ended = desk.serve(&inbox);
        // Wakes the thread, which drops what is under way.
        drop(stop);
        match thread.join() {
            Ok(started) => started.map_err(|error| Stopped::Other(error.into()))?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        let rest = desk.drain(&inbox);
        ended.and(rest)?;
        Ok(desk.outcome)
    })
}

fn failed_to_start(source: &io::Error) -> Stopped {
    let detail = source.to_string();
    Stopped::Other(TeacherError::Client { detail }.into())
}

/// What the thread of the requests tells the calling one.
enum Message {
    Answered(usize, Answer),
    Failed(usize, Failure),
    /// A request is sent again, because of this.
    Retrying(RequestProblem),
}

impl Message {
    /// Every other request would fail likewise.
    fn concerns_all(&self) -> bool {
        matches!(self, Self::Failed(_, failure) if failure.remedy == Remedy::Stop)
    }
}

/// The calling thread's side.
struct Desk<'a, Keep> {
    label: &'a str,
    progress: &'a mut Progress,
    keep: &'a mut Keep,
    outcome: Outcome,
    retries: usize,
}

impl<Keep: FnMut(usize, Answer) -> Result<(), TeacherError>> Desk<'_, Keep> {
    /// Takes messages until all requests are done or there is a reason to stop.
    fn serve(&mut self, inbox: &Receiver<Message>) -> Result<(), Stopped> {
        loop {
            interrupt::check().map_err(|interrupted| Stopped::Other(interrupted.into()))?;
            match inbox.recv_timeout(WATCH) {
                Ok(message) => self.take(message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Keeps what had arrived when the work ended.
    fn drain(&mut self, inbox: &Receiver<Message>) -> Result<(), Stopped> {
        inbox.try_iter().try_for_each(|message| match message {
            Message::Answered(..) => self.take(message),
            Message::Failed(..) | Message::Retrying(_) => Ok(()),
        })
    }

    fn take(&mut self, message: Message) -> Result<(), Stopped> {
        match message {
            Message::Answered(index, answer) => {
                (self.keep)(index, answer).map_err(|error| Stopped::Other(error.into()))?;
                self.outcome.answered += 1;
                self.progress.advance(1);
            }
            Message::Failed(_, failure) if failure.remedy == Remedy::Stop => {
                return Err(Stopped::Refused(failure.problem));
            }
            Message::Failed(index, failure) => {
                self.outcome.failed.push((index, failure.problem));
                self.relabel(None);
                self.progress.advance(1);
            }
            Message::Retrying(problem) => {
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
        if !self.outcome.failed.is_empty() {
            label += &format!(", {} failed", self.outcome.failed.len());
        }
        self.progress.set_label(label);
    }
}

/// The requests' side: what is to be sent, and when.
struct Queue {
    endpoint: Endpoint,
    requests: Vec<Request>,
    limits: Limits,
    /// No request is sent earlier: a server asked for a pause.
    not_before: Mutex<Option<Instant>>,
    messages: Sender<Message>,
}

fn run(queue: Queue, stopped: oneshot::Receiver<()>) -> Result<(), TeacherError> {
    let client_error = |error: io::Error| TeacherError::Client {
        detail: error.to_string(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(client_error)?;
    let outcome = runtime.block_on(async {
        // Made here: its connections live on this runtime.
        let exchange = Exchange::new(&queue.endpoint, queue.limits.timeouts)?;
        tokio::select! {
            // Also when the calling thread unwinds.
            _ = stopped => {}
            () = queue.send_all(&exchange) => {}
        }
        Ok(())
    });
    // Without waiting for a name that is still being resolved.
    runtime.shutdown_background();
    outcome
}

impl Queue {
    /// Sends until all requests are done, nothing but failures comes, or all would fail.
    ///
    /// Decided here, where requests are sent: the calling thread may be behind, and a server in
    /// trouble is to get none that is not needed.
    async fn send_all(&self, exchange: &Exchange) {
        let most_failures = FEWEST_FAILURES_TO_GIVE_UP.max(2 * self.limits.concurrency);
        let mut failures_in_a_row = 0;
        let mut results = stream::iter(self.requests.iter().enumerate())
            .map(async |(index, request)| (index, self.ask(exchange, request).await))
            .buffer_unordered(self.limits.concurrency);
        while failures_in_a_row < most_failures
            && let Some((index, result)) = results.next().await
        {
            let message = match result {
                Ok(answer) => {
                    failures_in_a_row = 0;
                    Message::Answered(index, answer)
                }
                Err(failure) => {
                    failures_in_a_row += 1;
                    Message::Failed(index, failure)
                }
            };
            let pointless = message.concerns_all();
            if self.messages.send(message).is_err() || pointless {
                return;
            }
        }
    }

    /// Asks until there is an answer, or no remedy.
    async fn ask(&self, exchange: &Exchange, request: &Request) -> Result<Answer, Failure> {
        let (mut attempt, mut timeouts) = (1, 0);
        loop {
            self.pause().await;
            let failure = match exchange.ask(request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            timeouts += u32::from(matches!(failure.problem, RequestProblem::Timeout { .. }));
            let Remedy::Retry { wait } = failure.remedy else {
                return Err(failure);
            };
            if attempt >= self.limits.retries.attempts || timeouts >= MOST_TIMEOUTS {
                return Err(failure);
            }
            let wait = wait.unwrap_or_default();
            let limit = self.limits.retries.longest_retry_after;
            if wait > limit {
                return Err(too_long_a_wait(failure, wait, limit));
            }
            self.hold_all(wait);
            let backoff = self.limits.retries.backoff(attempt, rand::random());
            // Nobody listens any more when the work has ended.
            let _ = self.messages.send(Message::Retrying(failure.problem));
            tokio::time::sleep(wait + backoff).await;
            attempt += 1;
        }
    }

    /// Lets no request be sent before a server's wait is over.
    fn hold_all(&self, wait: Duration) {
        if wait.is_zero() {
            return;
        }
        let until = Instant::now() + wait;
        let mut not_before = self.lock_not_before();
        *not_before = Some(not_before.map_or(until, |earlier| earlier.max(until)));
    }

    async fn pause(&self) {
        let until = *self.lock_not_before();
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    fn lock_not_before(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // An instant is never half-written.
        self.not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_long_a_wait(failure: Failure, wait: Duration, limit: Duration) -> Failure {
    let problem = match failure.problem {
        RequestProblem::Status { status, .. } => RequestProblem::Wait {
            status,
            wait,
            limit,
        },
        other => other,
    };
    Failure {
        problem,
        remedy: Remedy::None,
    }
}
