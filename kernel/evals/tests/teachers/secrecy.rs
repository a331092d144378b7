//! The key appears nowhere but in requests: not on disk, not in output.

use std::fs::{self, File};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use offmodel_evals::{ApiKey, LanguageModel, RetryPolicy};
use serde_json::json;

use crate::cache::files;
use crate::server::{Act, Server, chats, completion, quick, sampled};

const KEY: &str = "sk-or-v1-7f3a9c2e5b8d4016a1b2c3d4";

/// Fails if `text` contains the key or a long part of it, plain or encoded.
fn assert_hidden(what: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text).to_lowercase();
    let hex: String = KEY.bytes().map(|byte| format!("{byte:02x}")).collect();
    // Base64 of the key: the part that does not depend on what precedes it.
    for trace in [
        KEY,
        &KEY[..12],
        &KEY[KEY.len() - 12..],
        &hex,
        "c2stb3itdjet",
    ] {
        assert!(!text.contains(trace), "{what} shows the key: {text}");
    }
}

/// A response that repeats the key in every field.
fn repeat_key(number: usize) -> Act {
    let header = |name: &str| format!("{name}: {KEY}\r\n");
    match number {
        0 => Act::Answer(500, header("x-key"), format!("bad {KEY} bad")),
        1 => Act::Answer(
            429,
            header("retry-after"),
            json!({"error": KEY}).to_string(),
        ),
        2 => Act::Answer(200, String::new(), format!("<b>{KEY}</b>")),
        3 => Act::Answer(
            200,
            String::new(),
            json!({"error": {"message": KEY}}).to_string(),
        ),
        _ => completion(
            &json!({"content": format!("Your key: {KEY}"), "reasoning": KEY}),
            "stop",
        ),
    }
}

#[test]
fn the_key_reaches_the_server_in_its_header_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let model = server.model(&folder);
    model.reply(&chats(&["a"]), &sampled()).unwrap();
    let endpoint = server.endpoint().key(ApiKey::new(KEY).unwrap());
    let with_key = offmodel_evals::ApiModel::new(endpoint, "test-model").unwrap();
    let with_key = with_key.without_cache();
    with_key.reply(&chats(&["a"]), &sampled()).unwrap();
    let requests = server.requests();
    let header = format!("authorization: Bearer {KEY}");
    assert!(!requests[0].head.to_lowercase().contains("authorization"));
    assert_eq!(
        requests[1].head.matches(&header).count(),
        1,
        "{}",
        requests[1].head
    );
    assert_eq!(requests[1].head.matches(KEY).count(), 1);
    assert_hidden("the body", requests[1].body.to_string().as_bytes());
}

#[test]
fn a_program_shows_and_writes_no_key_that_the_server_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| repeat_key(number));
    let written = folder.path().join("taught.jsonl");
    let output = ask_teacher(&server, &folder)
        .args(["api:test-model", written.to_str().unwrap(), "a"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_hidden("standard output", &output.stdout);
    assert_hidden("standard error", &output.stderr);
    assert!(
        fs::read_to_string(&written)
            .unwrap()
            .contains("Your key: [key]")
    );
    let files = files(folder.path());
    assert_eq!(files.len(), 2, "a record and the set: {files:?}");
    for file in files {
        assert_hidden(&file.display().to_string(), &fs::read(&file).unwrap());
        assert_hidden("a file's name", file.to_string_lossy().as_bytes());
    }
    assert!(server.requests()[0].head.contains(KEY));
}

#[test]
fn a_program_shows_no_key_that_the_server_rejects() {
    let folder = tempfile::tempdir().unwrap();
    let page = format!("Authorization: Bearer {KEY} is not valid, {}", &KEY[..20]);
    let server = Server::start(move |_, _| Act::Answer(401, String::new(), page.clone()));
    let output = ask_teacher(&server, &folder)
        .args(["api:test-model", "nowhere.jsonl", "a"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        shown.contains("Bearer [key] is not valid, [key]"),
        "{shown}"
    );
    assert_hidden("standard output", &output.stdout);
    assert_hidden("standard error", &output.stderr);
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn no_display_debug_error_or_panic_contains_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| repeat_key(number % 4));
    let endpoint = server.endpoint().key(ApiKey::new(KEY).unwrap());
    let model = offmodel_evals::ApiModel::new(endpoint, "test-model").unwrap();
    let model = model.cache_folder(folder.path());
    assert_hidden("display", model.to_string().as_bytes());
    assert_hidden("debug", format!("{model:?} {model:#?}").as_bytes());
    for attempts in 1..=4 {
        let policy = RetryPolicy {
            attempts,
            ..quick()
        };
        let asked = model
            .clone()
            .retries(policy)
            .reply(&chats(&["a"]), &sampled());
        let error = asked.as_ref().unwrap_err();
        assert_hidden(
            "an error",
            format!("{error} {error:?} {error:#?}").as_bytes(),
        );
        let panic = std::panic::catch_unwind(AssertUnwindSafe(|| asked.unwrap())).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert_hidden("a panic", message.as_bytes());
    }
}

#[test]
fn the_progress_bar_of_a_notebook_contains_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.jsonl");
    offmodel_events::sink::install(File::create(&events).unwrap());
    let server = Server::start(|number, _| {
        Act::After(Duration::from_millis(500), Box::new(repeat_key(number)))
    });
    let endpoint = server.endpoint().key(ApiKey::new(KEY).unwrap());
    let model = offmodel_evals::ApiModel::new(endpoint, "test-model").unwrap();
    let policy = RetryPolicy {
        attempts: 8,
        ..quick()
    };
    let model = model.without_cache().retries(policy);
    model.reply(&chats(&["a"]), &sampled()).unwrap();
    let shown = fs::read_to_string(&events).unwrap();
    assert!(shown.contains("querying test-model, 2 retries"), "{shown}");
    assert!(shown.contains("[key]"), "{shown}");
    assert_hidden("the events", shown.as_bytes());
}

#[test]
fn requests_to_this_machine_bypass_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let (server, proxy) = (Server::echo(), Server::echo());
    let written = folder.path().join("taught.jsonl");
    let mut command = ask_teacher(&server, &folder);
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(variable, proxy.base_url().replace("/v1", ""));
    }
    let output = command
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .args(["api:test-model", written.to_str().unwrap(), "a"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!((server.connections(), proxy.connections()), (1, 0));
}

/// The example `ask_teacher`, which Cargo builds beside the tests, with the key in its
/// environment and the log of every library turned on.
fn ask_teacher(server: &Server, folder: &tempfile::TempDir) -> Command {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().unwrap().parent().unwrap();
    let mut command = Command::new(profile.join("examples/ask_teacher"));
    command
        .env("OFFMODEL_API_BASE_URL", server.base_url())
        .env("OFFMODEL_API_KEY", KEY)
        .env("OFFMODEL_CACHE", folder.path())
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .env_remove("OFFMODEL_EVENTS_FD");
    command
}
