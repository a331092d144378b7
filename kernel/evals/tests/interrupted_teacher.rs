//! An interrupt ends the work of a teacher behind an API and keeps what has arrived.
//!
//! A program of its own: the flag of an interrupt is one for the whole process.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::time::{Duration, Instant};

use offmodel_evals::{ApiModel, EvalError, LanguageModel, RetryPolicy};
use offmodel_events::interrupt;

#[path = "teachers/server.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod server;

use server::{Act, Server, chats, quick, said, sampled, status};

/// How long a request or a wait would take by itself, and how much of that an interrupt may.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(5);

/// How long it takes from an interrupt, once the server has had `requests`, to the end of `model`'s
/// work, and what that gives.
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
fn an_interrupt_ends_the_work_at_once_and_keeps_what_has_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, request| match request.prompt() {
        "never" => Act::Silence,
        prompt => said(prompt),
    });
    let model = server.model(&folder).concurrency(2).timeout(LONG);
    // The last is asked when all that are answered have been.
    let prompts = ["a", "never", "b", "c", "never"];
    let (took, error) = interrupted(&server, 5, &model, &prompts);
    assert!(matches!(error, EvalError::Interrupted(_)), "{error}");
    assert!(took < SHORT, "{took:?}");
    let replies = model.reply(&chats(&["a", "b", "c"]), &sampled()).unwrap();
    assert!(replies.iter().all(|reply| reply.cached));

    // While a request waits to be sent again: another test in this process would see the flag.
    let server = Server::start(|_, _| status(500));
    let patient = RetryPolicy {
        first_wait: LONG,
        ..quick()
    };
    let model = server.model(&folder).retries(patient);
    let (took, error) = interrupted(&server, 1, &model, &["a"]);
    assert!(matches!(error, EvalError::Interrupted(_)), "{error}");
    assert!(took < SHORT, "{took:?}");
}
