//! Servers that break the protocol or the connection.

use std::time::Duration;

use offmodel_evals::{ApiModel, Endpoint, LanguageModel};
use serde_json::json;

use crate::server::{Act, Server, chats, quick, said, sampled};

/// The error of a chat to which no attempt gets a response.
fn error_text(model: &ApiModel) -> String {
    let error = model
        .reply(&chats(&["a"]), &sampled())
        .unwrap_err()
        .to_string();
    let (_, problem) = error.split_once("chat 0: ").unwrap();
    problem.to_owned()
}

/// Sends a part of a response that claims to be longer.
fn cut() -> Act {
    let part = r#"{"choices":[{"message":{"content":"Once"#;
    Act::Raw(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{part}"
    ))
}

#[test]
fn a_request_is_retried_after_its_connection_broke_off() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| match number {
        0 => cut(),
        1 => Act::Raw(String::new()),
        _ => said("whole"),
    });
    let replies = server
        .model(&folder)
        .reply(&chats(&["a"]), &sampled())
        .unwrap();
    assert_eq!(replies[0].text, "whole");
}

#[test]
fn a_partial_response_is_never_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| cut());
    let problem = error_text(&server.model(&folder));
    assert!(problem.starts_with("the connection failed: "), "{problem}");
    assert_eq!(server.requests().len(), 3);
    assert_eq!(crate::cache::files(folder.path()).len(), 0);
}

#[test]
fn a_server_without_http_is_a_failed_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Act::Raw("SSH-2.0-OpenSSH_9.2\r\n".to_owned()));
    let problem = error_text(&server.model(&folder));
    assert!(problem.starts_with("the connection failed: "), "{problem}");
}

#[test]
fn a_response_without_json_is_retried_and_then_reported() {
    let folder = tempfile::tempdir().unwrap();
    let page = "<html>maintenance</html>".to_owned();
    let server = Server::start(move |_, _| Act::Answer(200, String::new(), page.clone()));
    let problem = error_text(&server.model(&folder));
    assert_eq!(
        problem,
        "the response is not a chat completion: expected value at line 1 column 1"
    );
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn an_error_with_a_success_status_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| {
        let code = if number == 0 { 502 } else { 400 };
        let body = json!({"error": {"code": code, "message": "provider returned an error"}});
        Act::Answer(200, String::new(), body.to_string())
    });
    assert_eq!(
        error_text(&server.model(&folder)),
        "the server returned an error: provider returned an error"
    );
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn an_endless_response_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Act::Flood);
    assert_eq!(
        error_text(&server.model(&folder)),
        "the response is longer than 8388608 bytes"
    );
    // The buffers of the sockets hold some more.
    assert!(server.flooded() < 64 << 20, "{}", server.flooded());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_slowly_dripping_response_times_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Act::Drip);
    let model = server.model(&folder).timeout(Duration::from_secs(1));
    assert_eq!(error_text(&model), "no response within 1 s");
    // A request that timed out is sent only twice, because each attempt can take minutes.
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_silent_server_times_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Act::Silence);
    let model = server.model(&folder).timeout(Duration::from_millis(300));
    assert_eq!(error_text(&model), "no response within 0.3 s");
}

#[test]
fn a_request_that_timed_out_once_is_retried() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| match number {
        0 => Act::Silence,
        _ => said("awake"),
    });
    // Long enough for the second response where the machine is busy.
    let model = server.model(&folder).timeout(Duration::from_secs(2));
    assert_eq!(
        model.reply(&chats(&["a"]), &sampled()).unwrap()[0].text,
        "awake"
    );
}

#[test]
fn an_absent_server_is_a_failed_connection() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let endpoint = Endpoint::new(&format!("http://{address}/v1")).unwrap();
    let model = ApiModel::new(endpoint, "m").unwrap();
    let problem = error_text(&model.cache_folder(folder.path()).retries(quick()));
    assert!(problem.starts_with("the connection failed: "), "{problem}");
    assert!(problem.contains("Connection refused"), "{problem}");
}

#[test]
fn a_redirect_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = Server::echo();
    let target = format!("{}/chat/completions?x=1", elsewhere.base_url());
    for status in [301, 302, 307, 308] {
        let header = format!("location: {target}\r\n");
        let server = Server::start(move |_, _| Act::Answer(status, header.clone(), String::new()));
        let error = server
            .model(&folder)
            .reply(&chats(&["a"]), &sampled())
            .unwrap_err();
        let host = elsewhere.base_url().replace("/v1", "");
        assert!(
            error.to_string().ends_with(&format!(
                "HTTP status {status}: the server redirects to {host}, which is not followed"
            )),
            "{error}"
        );
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn an_error_message_of_a_server_is_shown_as_one_short_line() {
    let folder = tempfile::tempdir().unwrap();
    let said = format!("\u{1b}[2Jred\nalert {}", "x".repeat(100_000));
    let server = Server::start(move |_, _| Act::Answer(400, String::new(), said.clone()));
    let problem = error_text(&server.model(&folder));
    assert!(
        problem.starts_with("HTTP status 400: \u{fffd}[2Jred alert xxx"),
        "{problem}"
    );
    assert!(
        problem.len() < 400 && !problem.contains(char::is_control),
        "{problem}"
    );
}
