//! Responses are cached: the same request never costs twice.

use std::fs;
use std::path::{Path, PathBuf};

use offmodel_evals::{ApiModel, LanguageModel};
use offmodel_models::Sampling;
use serde_json::json;

use crate::server::{Server, chats, said, sampled};

#[test]
fn a_rerun_sends_no_request_and_returns_the_same_replies() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let first = server
        .model(&folder)
        .reply(&chats(&["a", "b"]), &sampled())
        .unwrap();
    let again = server
        .model(&folder)
        .reply(&chats(&["b", "a"]), &sampled())
        .unwrap();
    assert_eq!(server.connections(), 2);
    assert_eq!(
        [&again[0].text, &again[1].text],
        [&first[1].text, &first[0].text]
    );
    assert!(first.iter().all(|reply| !reply.cached));
    assert!(again.iter().all(|reply| reply.cached));
}

#[test]
fn without_a_cache_every_run_sends_requests() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let model = server.model(&folder).without_cache();
    model.reply(&chats(&["a"]), &sampled()).unwrap();
    model.reply(&chats(&["a"]), &sampled()).unwrap();
    assert_eq!(server.connections(), 2);
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn another_seed_model_sampling_or_field_is_another_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let ask = |model: ApiModel, sampling: &Sampling| {
        model.reply(&chats(&["a"]), sampling).unwrap();
        server.connections()
    };
    let model = || server.model(&folder);
    assert_eq!(ask(model(), &sampled()), 1);
    assert_eq!(ask(model(), &sampled().seed(1)), 2);
    assert_eq!(ask(model(), &sampled().max_new_tokens(9)), 3);
    let other = ApiModel::new(server.endpoint(), "other").unwrap();
    assert_eq!(ask(other.cache_folder(folder.path()), &sampled()), 4);
    let with_field = model().field("reasoning_effort", "low").unwrap();
    assert_eq!(ask(with_field, &sampled()), 5);
    // Concurrency, timeouts and retries do not affect the response, so they are not part of the key.
    assert_eq!(ask(model().concurrency(1), &sampled()), 5);
}

#[test]
fn a_repeated_prompt_gets_several_samples_each_cached() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, request| said(&format!("drawn {}", request.body["seed"])));
    let ask = |count| {
        let model = server.model(&folder);
        let replies = model.reply(&chats(&vec!["a"; count]), &sampled()).unwrap();
        let texts = replies.into_iter().map(|reply| reply.text);
        texts.collect::<Vec<_>>()
    };
    let three = ask(3);
    assert!(three[0] != three[1] && three[1] != three[2] && three[0] != three[2]);
    assert_eq!(server.connections(), 3);
    let five = ask(5);
    assert_eq!(five[..3], three);
    assert_eq!(server.connections(), 5);
}

#[test]
fn equal_greedy_requests_are_sent_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let model = server.model(&folder);
    let replies = model
        .reply(&chats(&["a", "b", "a"]), &Sampling::greedy())
        .unwrap();
    assert_eq!(server.connections(), 2);
    assert_eq!(replies[0].text, replies[2].text);
    // The tokens of the shared request count once.
    let fresh: Vec<bool> = replies.iter().map(|reply| !reply.cached).collect();
    assert_eq!(fresh, [true, true, false]);
}

#[test]
fn a_damaged_record_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let ask = || {
        server
            .model(&folder)
            .reply(&chats(&["a"]), &sampled())
            .unwrap()
            .remove(0)
    };
    let whole = ask();
    let record = files(folder.path()).remove(0);
    let bytes = fs::read(&record).unwrap();
    for (times, damaged) in [&bytes[..bytes.len() / 2], b"", b"\xff\xfe", b"{}"]
        .iter()
        .enumerate()
    {
        fs::write(&record, damaged).unwrap();
        assert_eq!(ask().text, whole.text);
        assert_eq!(server.connections(), times + 2);
        assert!(ask().cached);
    }
}

#[test]
fn an_unwritable_cache_is_an_error_before_any_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let blocked = folder.path().join("file");
    fs::write(&blocked, "").unwrap();
    let model = server.model(&folder).cache_folder(&blocked);
    let error = model
        .reply(&chats(&["a"]), &sampled())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("failed to cache a response in "),
        "{error}"
    );
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_cache_entry_holds_request_and_response() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    server
        .model(&folder)
        .reply(&chats(&["a"]), &Sampling::greedy())
        .unwrap();
    let files = files(folder.path());
    assert_eq!(files.len(), 1, "no temporary file stays: {files:?}");
    let mut record: serde_json::Value =
        serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap();
    assert!(record["answered_at"].take().as_u64().unwrap() > 1_700_000_000);
    assert_eq!(
        record,
        json!({
            "version": 1,
            "answered_at": null,
            "request": {
                "endpoint": server.base_url(),
                "sample": 0,
                "body": {
                    "model": "test-model",
                    "messages": [{"role": "user", "content": "a"}],
                    "temperature": 0.0,
                    "max_tokens": 512,
                },
            },
            "answer": {
                "text": "Echo: a",
                "ending": "stop",
                "model": "test-model-1",
                "usage": {
                    "prompt_tokens": 3, "completion_tokens": 2, "reasoning_tokens": 0, "cost": 0.0,
                },
            },
        })
    );
}

#[test]
fn servers_do_not_share_cache_entries() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Server::echo(), Server::start(|_, _| said("other")));
    one.model(&folder)
        .reply(&chats(&["a"]), &sampled())
        .unwrap();
    let replies = other
        .model(&folder)
        .reply(&chats(&["a"]), &sampled())
        .unwrap();
    assert_eq!(replies[0].text, "other");
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}
