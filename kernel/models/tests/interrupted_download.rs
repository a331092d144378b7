//! A download that is asked to stop. The request is for a whole process, so this is one: the test
//! starts itself again with the environment that leads to its own server.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use offmodel_models::{Model, ModelError};

const CHILD: &str = "OFFMODEL_TEST_DOWNLOADS";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn an_interrupt_ends_a_download_at_once_and_keeps_what_has_arrived() {
    let cache = tempfile::tempdir().unwrap();
    let address = stalling_server();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_downloads", "--nocapture"])
        .env(CHILD, incomplete(cache.path()))
        .env("HF_ENDPOINT", address)
        .env("HF_HUB_CACHE", cache.path())
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_TOKEN")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(
        child.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&child.stderr)
    );
    assert!(said.contains("interrupted as asked"), "{said}");
    let folder = cache.path().join("models--org--model");
    assert_eq!(std::fs::read(incomplete(cache.path())).unwrap(), [7; 1000]);
    assert!(
        folder
            .join("snapshots")
            .join(COMMIT)
            .join("config.json")
            .is_file()
    );
    assert!(!folder.join("refs").exists());
}

/// Not a test by itself: what the test above runs in a process of its own.
#[test]
fn the_process_that_downloads() {
    let Some(arriving) = std::env::var_os(CHILD) else {
        return;
    };
    let asking = std::thread::spawn(move || {
        while std::fs::metadata(&arriving).map_or(0, |file| file.len()) < 1000 {
            std::thread::sleep(Duration::from_millis(5));
        }
        offmodel_events::interrupt::request();
        Instant::now()
    });
    match Model::load("org/model") {
        Err(ModelError::Interrupted(_)) => println!("interrupted as asked"),
        other => panic!("{other:?}"),
    }
    // Half a minute later the server's silence would have ended it.
    let asked = asking.join().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(25), "{asked:?}");
}

/// Where the weights are while they arrive.
fn incomplete(cache: &Path) -> PathBuf {
    let blobs = cache.join("models--org--model").join("blobs");
    blobs.join(format!("{}.incomplete", "a".repeat(64)))
}

/// Gives small files at once; of the weights it gives the beginning and then says nothing.
fn stalling_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                let _ = lines.map_while(Result::ok).find(String::is_empty);
                let (length, body) = if first.contains("/api/models/") {
                    let listing = listing();
                    (listing.len(), listing.into_bytes())
                } else if first.contains("model.safetensors") {
                    (1_000_000, vec![7; 1000])
                } else {
                    (2, b"{}".to_vec())
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&body).unwrap();
                // Until the other side has had enough.
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            });
        }
    });
    address
}

fn listing() -> String {
    serde_json::json!({"sha": COMMIT, "siblings": [
        {"rfilename": "config.json", "size": 2, "blobId": "b".repeat(40)},
        {"rfilename": "tokenizer.json", "size": 2, "blobId": "c".repeat(40)},
        {"rfilename": "model.safetensors", "size": 1_000_000, "blobId": "d".repeat(40),
         "lfs": {"sha256": "a".repeat(64), "size": 1_000_000, "pointerSize": 133}},
    ]})
    .to_string()
}
