//! Downloads from a server on this machine that answers as the hub does.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::settings::{Settings, Token};
use super::{Repository, model};
use crate::ModelError;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const SECRET: &str = "hf_averysecrettoken";

/// What the server has and how it misbehaves.
#[derive(Default)]
struct Hub {
    files: BTreeMap<String, Vec<u8>>,
    /// What a request must bring; who does not gets 401.
    token: Option<String>,
    /// Answers with 403 whatever the token is.
    forbidden: bool,
    /// So many answers for files end after so many bytes.
    cuts: usize,
    cut_after: usize,
    /// After that the server answers 503 only.
    dies: bool,
    /// So many answers are 503.
    busy: usize,
    /// Gives other bytes than the listing says.
    corrupt: bool,
    /// Path, `Range` and whether there was a token, of each request.
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

    fn settings(&self, cache: &Path) -> Settings {
        Settings {
            endpoint: self.address.clone(),
            cache: cache.to_owned(),
            token: None,
            offline: false,
            patience: Duration::from_millis(5),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Hub)) {
        change(&mut self.hub.lock().unwrap());
    }

    /// The names of the files that were asked for.
    fn asked(&self) -> Vec<String> {
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
    let answer = hub.lock().unwrap().answer(&path, range, token);
    let mut stream = stream;
    let _ = stream.write_all(&answer);
}

impl Hub {
    fn answer(&mut self, path: &str, range: Option<String>, token: Option<String>) -> Vec<u8> {
        self.requests
            .push((path.to_owned(), range.clone(), token.is_some()));
        // What the hub redirects to, on other servers, asks for no token.
        let wants_token = !path.starts_with("/blob/");
        if self.forbidden {
            return head("403 Forbidden", 0, "");
        }
        if wants_token && self.token.is_some() && self.token != token {
            return head("401 Unauthorized", 0, "");
        }
        if self.busy > 0 {
            self.busy -= 1;
            return head("503 Service Unavailable", 0, "");
        }
        if path.starts_with("/api/models/org/model/revision/main") {
            let listing = self.listing();
            return [head("200 OK", listing.len(), ""), listing.into_bytes()].concat();
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
        let mut answer = head(status, body.len(), "");
        if self.cuts > 0 && body.len() > self.cut_after {
            self.cuts -= 1;
            self.busy = if self.dies { usize::MAX } else { 0 };
            answer.extend_from_slice(&body[..self.cut_after]);
        } else {
            answer.extend_from_slice(body);
        }
        answer
    }

    fn listing(&self) -> String {
        let siblings = self.files.iter().map(|(name, content)| {
            let small = serde_json::json!({
                "rfilename": name, "size": content.len(), "blobId": format!("{:040x}", name.len()),
            });
            let mut sibling = small;
            if name.ends_with(".safetensors") {
                let hash: String = Sha256::digest(content)
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                sibling["lfs"] = serde_json::json!({
                    "sha256": hash, "size": content.len(), "pointerSize": 133,
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

/// A model in two shards, and much that is not needed.
fn tree() -> Hub {
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

fn repository() -> Repository {
    Repository::parse("org/model").unwrap()
}

/// What is in a folder, in order.
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

fn is_without(folder: &Path, word: &str) -> bool {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(word) {
                return false;
            }
        }
    }
    true
}

#[test]
fn what_is_needed_is_fetched_once_into_the_cache_of_python() {
    let server = Server::start(tree());
    let cache = tempfile::tempdir().unwrap();
    let settings = server.settings(cache.path());
    let snapshot = model(&repository(), &settings).unwrap();
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
    // Blobs, and nothing else, are among the blobs.
    let mut blobs: Vec<_> = names(&folder.join("blobs"));
    let mut locks = names(&cache.path().join(".locks/models--org--model"));
    assert_eq!(blobs.len(), 6);
    for (blob, lock) in blobs.drain(..).zip(locks.drain(..)) {
        assert_eq!(lock, format!("{blob}.lock"));
    }
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(
        asked,
        [
            "chat_template.jinja",
            "config.json",
            "model.safetensors.index.json",
            "one.safetensors",
            "tokenizer.json",
            "two.safetensors",
        ]
    );
    // From now on without the server.
    let count = server.hub.lock().unwrap().requests.len();
    assert_eq!(model(&repository(), &settings).unwrap(), snapshot);
    assert_eq!(server.hub.lock().unwrap().requests.len(), count);
    // A shard that is gone is fetched again, alone.
    std::fs::remove_file(folder.join("blobs").join(link.file_name().unwrap())).unwrap();
    assert_eq!(model(&repository(), &settings).unwrap(), snapshot);
    assert_eq!(server.asked()[6..], ["two.safetensors"]);
}

#[test]
fn a_cut_connection_goes_on_where_it_was() {
    let server = Server::start(Hub {
        cuts: 3,
        cut_after: 100_000,
        ..tree()
    });
    let cache = tempfile::tempdir().unwrap();
    let snapshot = model(&repository(), &server.settings(cache.path())).unwrap();
    assert_eq!(
        std::fs::read(snapshot.join("one.safetensors")).unwrap(),
        vec![1; 300_000]
    );
    let hub = server.hub.lock().unwrap();
    let of_shard = hub
        .requests
        .iter()
        .filter(|(path, ..)| path == "/blob/one.safetensors");
    let ranges: Vec<_> = of_shard.filter_map(|(_, range, _)| range.clone()).collect();
    assert!(
        !ranges.is_empty() && ranges.iter().all(|range| range.starts_with("bytes=")),
        "{ranges:?}"
    );
}

#[test]
fn a_partial_download_is_never_taken_for_the_whole() {
    let server = Server::start(Hub {
        cuts: 1,
        cut_after: 100_000,
        dies: true,
        ..tree()
    });
    let cache = tempfile::tempdir().unwrap();
    let error = model(&repository(), &server.settings(cache.path())).unwrap_err();
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
    let offline = Settings {
        offline: true,
        ..server.settings(cache.path())
    };
    let error = model(&repository(), &offline).unwrap_err().to_string();
    assert!(error.contains("HF_HUB_OFFLINE"), "{error}");
    // Once the server is well again the rest comes.
    server.change(|hub| hub.busy = 0);
    let snapshot = model(&repository(), &server.settings(cache.path())).unwrap();
    assert_eq!(
        std::fs::read(snapshot.join("one.safetensors")).unwrap(),
        vec![1; 300_000]
    );
    assert_eq!(model(&repository(), &offline).unwrap(), snapshot);
}

#[test]
fn other_bytes_than_the_listing_says_are_thrown_away() {
    let server = Server::start(Hub {
        corrupt: true,
        ..tree()
    });
    // Small files carry no SHA-256; the index must stay readable.
    server.change(|hub| {
        hub.files.remove("model.safetensors.index.json");
        hub.files
            .insert("model.safetensors".to_owned(), vec![3; 1000]);
    });
    let cache = tempfile::tempdir().unwrap();
    let error = model(&repository(), &server.settings(cache.path())).unwrap_err();
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
fn a_server_that_is_busy_is_asked_again() {
    let server = Server::start(Hub { busy: 3, ..tree() });
    let cache = tempfile::tempdir().unwrap();
    assert!(model(&repository(), &server.settings(cache.path())).is_ok());
    server.change(|hub| hub.busy = 100);
    let other = tempfile::tempdir().unwrap();
    let error = model(&repository(), &server.settings(other.path())).unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
}

#[test]
fn what_is_not_there_or_not_allowed_is_explained_and_the_token_never_shown() {
    let server = Server::start(tree());
    let cache = tempfile::tempdir().unwrap();
    let said = |settings: &Settings, name: &str| {
        let repository = Repository::parse(name).unwrap();
        let error = model(&repository, settings).unwrap_err();
        assert!(matches!(error, ModelError::Hub { .. }));
        format!("{error} {error:?}")
    };
    let plain = server.settings(cache.path());
    let missing = said(&plain, "org/other");
    assert!(
        missing.contains("no such model or revision main"),
        "{missing}"
    );

    server.change(|hub| hub.token = Some(format!("Bearer {SECRET}")));
    let unknown = said(&plain, "org/model");
    assert!(unknown.contains("set HF_TOKEN"), "{unknown}");
    let wrong = Settings {
        token: Some(Token("hf_thewrongsecret".to_owned())),
        ..server.settings(cache.path())
    };
    let refused = said(&wrong, "org/model");
    assert!(
        refused.contains("token in HF_TOKEN") && !refused.contains("wrongsecret"),
        "{refused}"
    );

    let right = Settings {
        token: Some(Token(SECRET.to_owned())),
        ..server.settings(cache.path())
    };
    model(&repository(), &right).unwrap();
    assert!(is_without(cache.path(), SECRET));

    server.change(|hub| hub.forbidden = true);
    let forbidden = said(&right, "org/closed");
    assert!(
        forbidden.contains("has not been given access"),
        "{forbidden}"
    );
    assert!(!forbidden.contains(SECRET), "{forbidden}");
}

#[test]
fn the_token_goes_to_no_other_server() {
    let storage = Server::start(tree());
    let front = Server::start(tree());
    let target = storage.address.clone();
    // A front that only redirects, as the hub does for large files.
    front.change(|hub| hub.token = Some(format!("Bearer {SECRET}")));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(0));
    let count = seen.clone();
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
            *count.lock().unwrap() += with_token;
            let path = first.split(' ').nth(1).unwrap().to_owned();
            let answer = match path.strip_prefix(&format!("/org/model/resolve/{COMMIT}")) {
                Some(name) => head(
                    "302 Found",
                    0,
                    &format!("Location: {target}/blob{name}\r\n"),
                ),
                None => {
                    let token = Some(format!("Bearer {SECRET}"));
                    hub.lock().unwrap().answer(&path, None, token)
                }
            };
            let mut stream = stream;
            let _ = stream.write_all(&answer);
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let settings = Settings {
        endpoint: address,
        token: Some(Token(SECRET.to_owned())),
        ..front.settings(cache.path())
    };
    model(&repository(), &settings).unwrap();
    assert_eq!(*seen.lock().unwrap(), 7, "one listing and six files");
    let hub = storage.hub.lock().unwrap();
    assert_eq!(hub.requests.len(), 6);
    assert!(hub.requests.iter().all(|(_, _, with_token)| !with_token));
}
