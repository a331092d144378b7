//! An interrupt ends the work of a teacher behind an API and keeps what has arrived.
//!
//! A program of its own: the flag of an interrupt is one for the whole process.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::time::{Duration, Instant};

use offmodel_evals::{EvalError, LanguageModel, RetryPolicy};
use offmodel_events::interrupt;

#[path = "teachers/server.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod server;

use server::{Act, Server, chats, quick, said, sampled, status};

/// How often a time is taken: what else the machine does can only add to it, so that the smallest
/// is the one that counts.
const TRIES: usize = 5;
const LIMIT: Duration = Duration::from_millis(200);

/// Fails unless the work ends soon after an interrupt in one of several tries, and for the
/// interrupt's sake in all of them.
fn assert_interruptible(
    wait: Duration,
    mut ask: impl FnMut() -> Result<Vec<offmodel_evals::Reply>, EvalError>,
) {
    let mut times = Vec::new();
    while times.iter().all(|&took| took >= LIMIT) {
        assert!(times.len() < TRIES, "{times:?}");
        let (took, error) = interrupt_after(wait, &mut ask);
        assert!(matches!(error, EvalError::Interrupted(_)), "{error}");
        times.push(took);
    }
}

/// How long it takes from the interrupt to the end of `reply`, and what that gives.
fn interrupt_after(
    wait: Duration,
    ask: impl FnOnce() -> Result<Vec<offmodel_evals::Reply>, EvalError>,
) -> (Duration, EvalError) {
    interrupt::clear();
    let asked = std::thread::spawn(move || {
        std::thread::sleep(wait);
        let at = Instant::now();
        interrupt::request();
        at
    });
    let ended = ask();
    let end = Instant::now();
    let took = end - asked.join().unwrap();
    interrupt::clear();
    (took, ended.unwrap_err())
}

#[test]
fn an_interrupt_ends_the_work_within_200_ms_and_keeps_what_has_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, request| match request.prompt() {
        "never" => Act::Silence,
        prompt => said(prompt),
    });
    let model = server.model(&folder).concurrency(2);
    let prompts = ["a", "never", "b", "c", "never"];
    assert_interruptible(Duration::from_millis(400), || {
        model.reply(&chats(&prompts), &sampled())
    });
    let replies = model.reply(&chats(&["a", "b", "c"]), &sampled()).unwrap();
    assert!(replies.iter().all(|reply| reply.cached));

    // While a request waits to be sent again: another test in this process would see the flag.
    let server = Server::start(|_, _| status(500));
    let patient = RetryPolicy {
        first_wait: Duration::from_secs(60),
        ..quick()
    };
    let model = server.model(&folder).retries(patient);
    assert_interruptible(Duration::from_millis(300), || {
        model.reply(&chats(&["a"]), &sampled())
    });
}
