//! Transient failures are retried for a bounded time; others are reported.

use std::time::{Duration, Instant, SystemTime};

use offmodel_evals::{EvalError, LanguageModel, RequestProblem, RetryPolicy, TeacherError};

use crate::server::{Act, Server, busy, chats, quick, said, sampled, status};

#[test]
fn retry_after_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| match number {
        0 => busy(429, "1"),
        _ => said("at last"),
    });
    let replies = server
        .model(&folder)
        .reply(&chats(&["a"]), &sampled())
        .unwrap();
    assert_eq!(replies[0].text, "at last");
    let requests = server.requests();
    let waited = requests[1].at - requests[0].at;
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
}

#[test]
fn retry_after_may_be_a_date() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| match number {
        // HTTP dates have whole seconds, so a date 2 s ahead is at least 1 s ahead.
        0 => {
            let date = SystemTime::now() + Duration::from_secs(2);
            busy(503, &httpdate::fmt_http_date(date))
        }
        _ => said("at last"),
    });
    server
        .model(&folder)
        .reply(&chats(&["a"]), &sampled())
        .unwrap();
    let requests = server.requests();
    let waited = requests[1].at - requests[0].at;
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
}

#[test]
fn retry_after_delays_all_requests() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, request| match number {
        0 => busy(429, "1"),
        _ => said(request.prompt()),
    });
    let model = server.model(&folder).concurrency(1);
    let start = Instant::now();
    model.reply(&chats(&["a", "b", "c"]), &sampled()).unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert!(
        requests[1..]
            .iter()
            .all(|request| request.at - start >= Duration::from_secs(1))
    );
}

#[test]
fn a_retry_after_beyond_the_limit_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| busy(429, "86400"));
    let error = server
        .model(&folder)
        .reply(&chats(&["a"]), &sampled())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "failed to query test-model at {}: 1 of 1 requests failed, 0 were answered; chat 0: \
             HTTP status 429: the server requests a wait of 86400 s, which exceeds the limit of 600 s",
            server.base_url()
        )
    );
}

#[test]
fn server_errors_are_retried_until_a_response_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| match number {
        0 => status(500),
        1 => status(529),
        _ => said("at last"),
    });
    let replies = server
        .model(&folder)
        .reply(&chats(&["a"]), &sampled())
        .unwrap();
    assert_eq!(replies[0].text, "at last");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn persistent_server_errors_are_reported_after_the_last_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Act::Answer(503, String::new(), "overloaded".to_owned()));
    let error = server
        .model(&folder)
        .reply(&chats(&["a"]), &sampled())
        .unwrap_err();
    assert_eq!(server.requests().len(), 3);
    assert!(
        error
            .to_string()
            .ends_with("chat 0: HTTP status 503: overloaded"),
        "{error}"
    );
}

#[test]
fn waits_grow_from_attempt_to_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| status(500));
    let policy = RetryPolicy {
        attempts: 4,
        first_wait: Duration::from_millis(100),
        longest_wait: Duration::from_millis(200),
        ..quick()
    };
    let model = server.model(&folder).retries(policy);
    assert!(model.reply(&chats(&["a"]), &sampled()).is_err());
    let requests = server.requests();
    let waits: Vec<u128> = requests
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at).as_millis())
        .collect();
    // At least half of each wait is certain; the jitter adds up to the other half.
    assert!(
        waits[0] >= 50 && waits[1] >= 100 && waits[2] >= 100,
        "{waits:?}"
    );
}

#[test]
fn a_wrong_key_stops_everything_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| {
        let body = r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#;
        Act::Answer(401, String::new(), body.to_owned())
    });
    let prompts = vec!["a"; 50];
    let model = server.model(&folder).concurrency(4);
    let error = model.reply(&chats(&prompts), &sampled()).unwrap_err();
    assert!(matches!(
        error,
        EvalError::Teacher(TeacherError::Refused {
            problem: RequestProblem::Status { status: 401, .. },
            ..
        })
    ));
    assert_eq!(
        error.to_string(),
        format!(
            "failed to query test-model at {}: HTTP status 401: Incorrect API key provided",
            server.base_url()
        )
    );
    assert!(server.requests().len() < 20, "{}", server.requests().len());
}

#[test]
fn one_rejected_chat_does_not_fail_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, request| match request.prompt() {
        "too long" => {
            let body = r#"{"error":{"message":"context length exceeded"}}"#;
            Act::Answer(400, String::new(), body.to_owned())
        }
        prompt => said(prompt),
    });
    let prompts = ["a", "too long", "b", "c"];
    let model = server.model(&folder);
    let error = model
        .reply(&chats(&prompts), &sampled())
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(
            "1 of 4 requests failed, 3 were answered; chat 1: \
             HTTP status 400: context length exceeded"
        ),
        "{error}"
    );
    // The rejected request is not retried. The rerun sends it alone.
    assert_eq!(server.requests().len(), 4);
    let replies = model.reply(&chats(&["a", "b", "c"]), &sampled()).unwrap();
    assert!(replies.iter().all(|reply| reply.cached));
    assert!(model.reply(&chats(&prompts), &sampled()).is_err());
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn a_long_run_of_failures_ends_the_dispatch_early() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| status(500));
    let once = RetryPolicy {
        attempts: 1,
        ..quick()
    };
    let model = server.model(&folder).retries(once).concurrency(2);
    let error = model
        .reply(&chats(&vec!["a"; 200]), &sampled())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("8 of 200 requests failed, 0 were answered"),
        "{error}"
    );
    assert!(server.requests().len() < 20, "{}", server.requests().len());
}
