//! Downloads from a local server that behaves like the hub.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use offmodel_support::digest;

use super::settings::{HubSettings, Token};
use super::{Repo, snapshot_download};
use crate::ModelError;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const SECRET: &str = "hf_averysecrettoken";

/// The server's files, and how it misbehaves.
#[derive(Default)]
struct Hub {
    files: BTreeMap<String, Vec<u8>>,
    /// The `Authorization` header that requests to the hub need; without it they get 401.
    token: Option<String>,
    /// Responds with 403 to every request.
    forbidden: bool,
    /// The number of responses with a file that end after `cut_after` bytes.
    cuts: usize,
    cut_after: usize,
    /// Responds with 503 to every request after the first cut.
    dies: bool,
    /// The number of responses that are 503.
    busy: usize,
    /// Sends other bytes than those whose hash it reports.
    corrupt: bool,
    /// The path, the `Range` header and whether there was a token, of each request.
    requests: Vec<(String, Option<String>, bool)>,
}

/// A running server; its thread ends with the process.
struct Server {
    hub: Arc<Mutex<Hub>>,
    address: String,
}

impl Server {
    fn start(hub: Hub) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let hub = Arc::new(Mutex::new(hub));
        let shared = hub.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hub = shared.clone();
                std::thread::spawn(move || serve(stream, &hub));
            }
        });
        Self { hub, address }
    }

    fn settings(&self, cache: &Path) -> HubSettings {
        HubSettings {
            endpoint: self.address.clone(),
            cache: cache.to_owned(),
            token: None,
            offline: false,
            first_retry_delay: Duration::from_millis(5),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Hub)) {
        change(&mut self.hub.lock().unwrap());
    }

    /// The names of the files that were downloaded.
    fn downloaded(&self) -> Vec<String> {
        let hub = self.hub.lock().unwrap();
        let paths = hub
            .requests
            .iter()
            .filter_map(|(path, ..)| path.split_once("/blob/"));
        paths.map(|(_, name)| name.to_owned()).collect()
    }
}

fn serve(stream: TcpStream, hub: &Mutex<Hub>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut range, mut token) = (String::new(), None, None);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap();
        match name.to_lowercase().as_str() {
            "range" => range = Some(value.trim().to_owned()),
            "authorization" => token = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let response = hub.lock().unwrap().respond(&path, range, token);
    let mut stream = stream;
    let _ = stream.write_all(&response);
}

impl Hub {
    fn respond(&mut self, path: &str, range: Option<String>, token: Option<String>) -> Vec<u8> {
        self.requests
            .push((path.to_owned(), range.clone(), token.is_some()));
        // The hub redirects to storage servers, which need no token.
        let needs_token = !path.starts_with("/blob/");
        if self.forbidden {
            return head("403 Forbidden", 0, "");
        }
        if needs_token && self.token.is_some() && self.token != token {
            return head("401 Unauthorized", 0, "");
        }
        if self.busy > 0 {
            self.busy -= 1;
            return head("503 Service Unavailable", 0, "");
        }
        if path.starts_with("/api/models/org/model/revision/main") {
            let info = self.repo_info();
            return [head("200 OK", info.len(), ""), info.into_bytes()].concat();
        }
        if let Some(name) = path.strip_prefix(&format!("/org/model/resolve/{COMMIT}/")) {
            return head("302 Found", 0, &format!("Location: /blob/{name}\r\n"));
        }
        let Some(content) = path
            .strip_prefix("/blob/")
            .and_then(|name| self.files.get(name))
        else {
            return head("404 Not Found", 0, "");
        };
        let mut content = content.clone();
        if self.corrupt {
            content.iter_mut().for_each(|byte| *byte ^= 1);
        }
        let start = range.map(|range| {
            let start = range
                .strip_prefix("bytes=")
                .and_then(|range| range.strip_suffix('-'));
            start.unwrap().parse::<usize>().unwrap()
        });
        let body = &content[start.unwrap_or(0)..];
        let status = if start.is_some() {
            "206 Partial Content"
        } else {
            "200 OK"
        };
        let mut response = head(status, body.len(), "");
        if self.cuts > 0 && body.len() > self.cut_after {
            self.cuts -= 1;
            self.busy = if self.dies { usize::MAX } else { 0 };
            response.extend_from_slice(&body[..self.cut_after]);
        } else {
            response.extend_from_slice(body);
        }
        response
    }

    fn repo_info(&self) -> String {
        let siblings = self.files.iter().map(|(name, content)| {
            let small = serde_json::json!({
                "rfilename": name, "size": content.len(), "blobId": format!("{:040x}", name.len()),
            });
            let mut sibling = small;
            if name.ends_with(".safetensors") {
                sibling["lfs"] = serde_json::json!({
                    "sha256": digest::sha256(content), "size": content.len(), "pointerSize": 133,
                });
            }
            sibling
        });
        let siblings: Vec<_> = siblings.collect();
        serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string()
    }
}

fn head(status: &str, length: usize, more: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
        .into_bytes()
}

/// A repository with a model in two shards and several files that are not needed.
fn repository() -> Hub {
    let index = serde_json::json!({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}});
    let texts = [
        ("config.json", "{}".to_owned()),
        ("tokenizer.json", "{\"t\": 1}".to_owned()),
        ("chat_template.jinja", "{{ x }}".to_owned()),
        ("model.safetensors.index.json", index.to_string()),
        ("README.md", "read me".to_owned()),
        ("pytorch_model.bin", "a pickle".to_owned()),
        (
            "original/consolidated.safetensors",
            "the same again".to_owned(),
        ),
    ];
    let mut files: BTreeMap<String, Vec<u8>> = texts
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into_bytes()))
        .collect();
    files.insert("one.safetensors".to_owned(), vec![1; 300_000]);
    files.insert("two.safetensors".to_owned(), vec![2; 5]);
    Hub {
        files,
        ..Hub::default()
    }
}

fn repo() -> Repo {
    Repo::parse("org/model").unwrap()
}

/// The sorted names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(name)
        .map(|name| name.into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Whether no file in a folder or its subfolders contains `text`.
fn lacks_text(folder: &Path, text: &str) -> bool {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(text) {
                return false;
            }
        }
    }
    true
}

#[test]
fn needed_files_are_downloaded_once_into_the_cache_of_python() {
    let server = Server::start(repository());
    let cache = tempfile::tempdir().unwrap();
    let settings = server.settings(cache.path());
    let snapshot = snapshot_download(&repo(), &settings).unwrap();
    let folder = cache.path().join("models--org--model");
    assert_eq!(snapshot, folder.join("snapshots").join(COMMIT));
    assert_eq!(
        std::fs::read(snapshot.join("one.safetensors")).unwrap(),
        vec![1; 300_000]
    );
    assert_eq!(
        std::fs::read_to_string(folder.join("refs/main")).unwrap(),
        COMMIT
    );
    let link = std::fs::read_link(snapshot.join("two.safetensors")).unwrap();
    assert!(link.starts_with("../../blobs"), "{}", link.display());
    // No temporary file is left among the blobs.
    let mut blobs: Vec<_> = names(&folder.join("blobs"));
    let mut locks = names(&cache.path().join(".locks/models--org--model"));
    assert_eq!(blobs.len(), 6);
    for (blob, lock) in blobs.drain(..).zip(locks.drain(..)) {
        assert_eq!(lock, format!("{blob}.lock"));
    }
    let mut downloaded = server.downloaded();
    downloaded.sort();
    assert_eq!(
        downloaded,
        [
            "chat_template.jinja",
            "config.json",
            "model.safetensors.index.json",
            "one.safetensors",
            "tokenizer.json",
            "two.safetensors",
        ]
    );
    // A complete snapshot needs no request.
    let count = server.hub.lock().unwrap().requests.len();
    assert_eq!(snapshot_download(&repo(), &settings).unwrap(), snapshot);
    assert_eq!(server.hub.lock().unwrap().requests.len(), count);
    // Only a shard that is missing is downloaded again.
    std::fs::remove_file(folder.join("blobs").join(link.file_name().unwrap())).unwrap();
    assert_eq!(snapshot_download(&repo(), &settings).unwrap(), snapshot);
    assert_eq!(server.downloaded()[6..], ["two.safetensors"]);
}

#[test]
fn a_cut_connection_is_resumed() {
    let server = Server::start(Hub {
        cuts: 3,
        cut_after: 100_000,
        ..repository()
    });
    let cache = tempfile::tempdir().unwrap();
    let snapshot = snapshot_download(&repo(), &server.settings(cache.path())).unwrap();
    assert_eq!(
        std::fs::read(snapshot.join("one.safetensors")).unwrap(),
        vec![1; 300_000]
    );
    let hub = server.hub.lock().unwrap();
    let shard_requests = hub
        .requests
        .iter()
        .filter(|(path, ..)| path == "/blob/one.safetensors");
    let ranges: Vec<_> = shard_requests
        .filter_map(|(_, range, _)| range.clone())
        .collect();
    assert!(
        !ranges.is_empty() && ranges.iter().all(|range| range.starts_with("bytes=")),
        "{ranges:?}"
    );
}

#[test]
fn an_incomplete_download_is_never_used() {
    let server = Server::start(Hub {
        cuts: 1,
        cut_after: 100_000,
        dies: true,
        ..repository()
    });
    let cache = tempfile::tempdir().unwrap();
    let error = snapshot_download(&repo(), &server.settings(cache.path())).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("failed to get org/model from http://127.0.0.1"),
        "{text}"
    );
    let folder = cache.path().join("models--org--model");
    assert!(!folder.join("refs/main").exists());
    let snapshot = folder.join("snapshots").join(COMMIT);
    assert!(snapshot.join("config.json").exists());
    assert!(!snapshot.join("one.safetensors").exists());
    let offline = HubSettings {
        offline: true,
        ..server.settings(cache.path())
    };
    let error = snapshot_download(&repo(), &offline)
        .unwrap_err()
        .to_string();
    assert!(error.contains("HF_HUB_OFFLINE"), "{error}");
    // Once the server responds again, the rest is downloaded.
    server.change(|hub| hub.busy = 0);
    let snapshot = snapshot_download(&repo(), &server.settings(cache.path())).unwrap();
    assert_eq!(
        std::fs::read(snapshot.join("one.safetensors")).unwrap(),
        vec![1; 300_000]
    );
    assert_eq!(snapshot_download(&repo(), &offline).unwrap(), snapshot);
}

#[test]
fn a_file_with_the_wrong_hash_is_discarded() {
    let server = Server::start(Hub {
        corrupt: true,
        ..repository()
    });
    // Small files have no SHA-256. Without an index no other file is read.
    server.change(|hub| {
        hub.files.remove("model.safetensors.index.json");
        hub.files
            .insert("model.safetensors".to_owned(), vec![3; 1000]);
    });
    let cache = tempfile::tempdir().unwrap();
    let error = snapshot_download(&repo(), &server.settings(cache.path())).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("model.safetensors: its SHA-256 is"),
        "{error}"
    );
    let blobs = std::fs::read_dir(cache.path().join("models--org--model/blobs")).unwrap();
    let names: Vec<_> = blobs.map(|blob| blob.unwrap().file_name()).collect();
    assert!(
        names
            .iter()
            .all(|name| !name.to_string_lossy().ends_with(".incomplete")),
        "{names:?}"
    );
}

#[test]
fn requests_to_a_busy_server_are_retried() {
    let server = Server::start(Hub {
        busy: 3,
        ..repository()
    });
    let cache = tempfile::tempdir().unwrap();
    assert!(snapshot_download(&repo(), &server.settings(cache.path())).is_ok());
    server.change(|hub| hub.busy = 100);
    let other = tempfile::tempdir().unwrap();
    let error = snapshot_download(&repo(), &server.settings(other.path())).unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
}

#[test]
fn refusals_are_explained_and_never_show_the_token() {
    let server = Server::start(repository());
    let cache = tempfile::tempdir().unwrap();
    let refusal = |settings: &HubSettings, name: &str| {
        let repo = Repo::parse(name).unwrap();
        let error = snapshot_download(&repo, settings).unwrap_err();
        assert!(matches!(error, ModelError::Hub { .. }));
        format!("{error} {error:?}")
    };
    let plain = server.settings(cache.path());
    let missing = refusal(&plain, "org/other");
    assert!(
        missing.contains("no such model or revision main"),
        "{missing}"
    );

    server.change(|hub| hub.token = Some(format!("Bearer {SECRET}")));
    let without_token = refusal(&plain, "org/model");
    assert!(without_token.contains("set HF_TOKEN"), "{without_token}");
    let wrong = HubSettings {
        token: Some(Token("hf_thewrongsecret".to_owned())),
        ..server.settings(cache.path())
    };
    let refused = refusal(&wrong, "org/model");
    assert!(
        refused.contains("token in HF_TOKEN") && !refused.contains("wrongsecret"),
        "{refused}"
    );

    let right = HubSettings {
        token: Some(Token(SECRET.to_owned())),
        ..server.settings(cache.path())
    };
    snapshot_download(&repo(), &right).unwrap();
    assert!(lacks_text(cache.path(), SECRET));

    server.change(|hub| hub.forbidden = true);
    let forbidden = refusal(&right, "org/closed");
    assert!(
        forbidden.contains("has not been given access"),
        "{forbidden}"
    );
    assert!(!forbidden.contains(SECRET), "{forbidden}");
}

#[test]
fn the_token_is_sent_to_no_other_server() {
    let storage = Server::start(repository());
    let front = Server::start(repository());
    let target = storage.address.clone();
    // A server that only redirects, as the hub does for large files.
    front.change(|hub| hub.token = Some(format!("Bearer {SECRET}")));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let tokens_seen = Arc::new(Mutex::new(0));
    let counter = tokens_seen.clone();
    let hub = front.hub.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            let with_token = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .filter(|line| line.to_lowercase().starts_with("authorization:"))
                .count();
            *counter.lock().unwrap() += with_token;
            let path = first.split(' ').nth(1).unwrap().to_owned();
            let response = match path.strip_prefix(&format!("/org/model/resolve/{COMMIT}")) {
                Some(name) => head(
                    "302 Found",
                    0,
                    &format!("Location: {target}/blob{name}\r\n"),
                ),
                None => {
                    let token = Some(format!("Bearer {SECRET}"));
                    hub.lock().unwrap().respond(&path, None, token)
                }
            };
            let mut stream = stream;
            let _ = stream.write_all(&response);
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let settings = HubSettings {
        endpoint: address,
        token: Some(Token(SECRET.to_owned())),
        ..front.settings(cache.path())
    };
    snapshot_download(&repo(), &settings).unwrap();
    assert_eq!(
        *tokens_seen.lock().unwrap(),
        7,
        "the list of files and six files"
    );
    let hub = storage.hub.lock().unwrap();
    assert_eq!(hub.requests.len(), 6);
    assert!(hub.requests.iter().all(|(_, _, with_token)| !with_token));
}
