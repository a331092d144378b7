//! An interrupt ends the requests to a teacher behind an API and keeps the responses that arrived.
//!
//! The test has a binary of its own, because the interrupt flag is shared by the whole process.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::time::{Duration, Instant};

use offmodel_evals::{ApiModel, EvalError, LanguageModel, RetryPolicy};
use offmodel_events::interrupt;

#[path = "teachers/server.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod server;

use server::{Act, Server, chats, quick, said, sampled, status};

/// Duration of the request or the wait that is interrupted.
const REQUEST_DURATION: Duration = Duration::from_secs(60);
/// Longest time that an interrupt may take, on a busy machine.
const MAX_INTERRUPT_DURATION: Duration = Duration::from_secs(5);

/// Interrupts `model` after the server has received `requests` requests. Returns how long it takes
/// to end, and its error.
fn interrupted(
    server: &Server,
    requests: usize,
    model: &ApiModel,
    prompts: &[&str],
) -> (Duration, EvalError) {
    interrupt::clear();
    let (ended, end, asked) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            while server.requests().len() < requests {
                std::thread::sleep(Duration::from_millis(5));
            }
            let at = Instant::now();
            interrupt::request();
            at
        });
        let ended = model.reply(&chats(prompts), &sampled());
        (ended, Instant::now(), asked.join().unwrap())
    });
    interrupt::clear();
    (end - asked, ended.unwrap_err())
}

#[test]
fn an_interrupt_ends_the_dispatch_at_once_and_keeps_what_has_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, request| match request.prompt() {
        "never" => Act::Silence,
        prompt => said(prompt),
    });
    let model = server
        .model(&folder)
        .concurrency(2)
        .timeout(REQUEST_DURATION);
    // The last request is sent after all others were answered.
    let prompts = ["a", "never", "b", "c", "never"];
    let (took, error) = interrupted(&server, 5, &model, &prompts);
    assert!(matches!(error, EvalError::Interrupted(_)), "{error}");
    assert!(took < MAX_INTERRUPT_DURATION, "{took:?}");
    let replies = model.reply(&chats(&["a", "b", "c"]), &sampled()).unwrap();
    assert!(replies.iter().all(|reply| reply.cached));

    // The second case, waiting for a retry, runs in the same test: the flag is shared by the process.
    let server = Server::start(|_, _| status(500));
    let patient = RetryPolicy {
        first_wait: REQUEST_DURATION,
        ..quick()
    };
    let model = server.model(&folder).retries(patient);
    let (took, error) = interrupted(&server, 1, &model, &["a"]);
    assert!(matches!(error, EvalError::Interrupted(_)), "{error}");
    assert!(took < MAX_INTERRUPT_DURATION, "{took:?}");
}
