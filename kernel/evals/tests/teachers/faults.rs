//! Servers that break the protocol, or off.

use std::time::Duration;

use offmodel_evals::{ApiModel, Endpoint, LanguageModel};
use serde_json::json;

use crate::server::{Act, Server, chats, quick, said, sampled};

/// What one chat that no attempt answers comes to.
fn complaint(model: &ApiModel) -> String {
    let error = model
        .reply(&chats(&["a"]), &sampled())
        .unwrap_err()
        .to_string();
    let (_, problem) = error.split_once("chat 0: ").unwrap();
    problem.to_owned()
}

/// Sends a part of an answer that claims to be longer.
fn cut() -> Act {
    let part = r#"{"choices":[{"message":{"content":"Once"#;
    Act::Raw(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{part}"
    ))
}

#[test]
fn a_connection_that_is_cut_in_the_middle_is_asked_again() {
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
fn half_an_answer_is_never_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| cut());
    let problem = complaint(&server.model(&folder));
    assert!(problem.starts_with("the connection failed: "), "{problem}");
    assert_eq!(server.requests().len(), 3);
    assert_eq!(crate::cache::files(folder.path()).len(), 0);
}

#[test]
fn what_is_no_http_is_a_failed_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Act::Raw("SSH-2.0-OpenSSH_9.2\r\n".to_owned()));
    let problem = complaint(&server.model(&folder));
    assert!(problem.starts_with("the connection failed: "), "{problem}");
}

#[test]
fn what_is_no_json_is_asked_again_and_then_told() {
    let folder = tempfile::tempdir().unwrap();
    let page = "<html>maintenance</html>".to_owned();
    let server = Server::start(move |_, _| Act::Answer(200, String::new(), page.clone()));
    let problem = complaint(&server.model(&folder));
    assert_eq!(
        problem,
        "the answer is no chat completion: expected value at line 1 column 1"
    );
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn an_error_with_the_status_of_a_success_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| {
        let code = if number == 0 { 502 } else { 400 };
        let body = json!({"error": {"code": code, "message": "provider returned an error"}});
        Act::Answer(200, String::new(), body.to_string())
    });
    assert_eq!(
        complaint(&server.model(&folder)),
        "the server answered with an error: provider returned an error"
    );
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Act::Flood);
    assert_eq!(
        complaint(&server.model(&folder)),
        "the answer is longer than 8388608 bytes"
    );
    // What the sockets' buffers took is not held by us.
    assert!(server.flooded() < 64 << 20, "{}", server.flooded());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_answer_that_drips_ends_with_the_time_for_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Act::Drip);
    let model = server.model(&folder).timeout(Duration::from_secs(1));
    assert_eq!(complaint(&model), "no answer within 1 s");
    // Twice, not three times: what takes all of its time costs too much.
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_server_that_never_answers_ends_with_the_time_for_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Act::Silence);
    let model = server.model(&folder).timeout(Duration::from_millis(300));
    assert_eq!(complaint(&model), "no answer within 0.3 s");
}

#[test]
fn a_server_that_is_slow_once_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| match number {
        0 => Act::Silence,
        _ => said("awake"),
    });
    // Long enough for the second answer where the machine is busy.
    let model = server.model(&folder).timeout(Duration::from_secs(2));
    assert_eq!(
        model.reply(&chats(&["a"]), &sampled()).unwrap()[0].text,
        "awake"
    );
}

#[test]
fn a_server_that_is_not_there_is_a_failed_connection() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let endpoint = Endpoint::new(&format!("http://{address}/v1")).unwrap();
    let model = ApiModel::new(endpoint, "m").unwrap();
    let problem = complaint(&model.cache_folder(folder.path()).retries(quick()));
    assert!(problem.starts_with("the connection failed: "), "{problem}");
    assert!(problem.contains("Connection refused"), "{problem}");
}

#[test]
fn a_redirection_is_not_followed() {
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
                "HTTP status {status}: redirected to {host}, which is not followed"
            )),
            "{error}"
        );
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn what_a_server_says_about_an_error_is_shown_as_one_short_line() {
    let folder = tempfile::tempdir().unwrap();
    let said = format!("\u{1b}[2Jred\nalert {}", "x".repeat(100_000));
    let server = Server::start(move |_, _| Act::Answer(400, String::new(), said.clone()));
    let problem = complaint(&server.model(&folder));
    assert!(
        problem.starts_with("HTTP status 400: \u{fffd}[2Jred alert xxx"),
        "{problem}"
    );
    assert!(
        problem.len() < 400 && !problem.contains(char::is_control),
        "{problem}"
    );
}
