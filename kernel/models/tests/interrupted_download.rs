//! Interrupts a download. An interrupt is for a whole process, so the test program starts itself
//! again, with an environment that leads to the test's server.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use offmodel_models::{Model, ModelError};

/// Set in the process that downloads: the path of the file that holds the incomplete weights.
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
    let stdout = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(
        child.status.success(),
        "{stdout}{}",
        String::from_utf8_lossy(&child.stderr)
    );
    assert!(stdout.contains("interrupted as expected"), "{stdout}");
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

/// Not a test by itself: the process that the test above starts.
#[test]
fn the_process_that_downloads() {
    let Some(incomplete) = std::env::var_os(CHILD) else {
        return;
    };
    let requester = std::thread::spawn(move || {
        while std::fs::metadata(&incomplete).map_or(0, |file| file.len()) < 1000 {
            std::thread::sleep(Duration::from_millis(5));
        }
        offmodel_events::interrupt::request();
        Instant::now()
    });
    match Model::load("org/model") {
        Err(ModelError::Interrupted(_)) => println!("interrupted as expected"),
        other => panic!("{other:?}"),
    }
    // Without the interrupt, the idle timeout would have ended the download after 30 seconds.
    let requested = requester.join().unwrap();
    assert!(
        requested.elapsed() < Duration::from_secs(25),
        "{requested:?}"
    );
}

/// The file that holds what has arrived of the weights.
fn incomplete(cache: &Path) -> PathBuf {
    let blobs = cache.join("models--org--model").join("blobs");
    blobs.join(format!("{}.incomplete", "a".repeat(64)))
}

/// A server that sends small files at once, and of the weights the first 1000 bytes and no more.
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
                    let info = repo_info();
                    (info.len(), info.into_bytes())
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
                // Keeps the connection open until the client closes it.
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            });
        }
    });
    address
}

fn repo_info() -> String {
    serde_json::json!({"sha": COMMIT, "siblings": [
        {"rfilename": "config.json", "size": 2, "blobId": "b".repeat(40)},
        {"rfilename": "tokenizer.json", "size": 2, "blobId": "c".repeat(40)},
        {"rfilename": "model.safetensors", "size": 1_000_000, "blobId": "d".repeat(40),
         "lfs": {"sha256": "a".repeat(64), "size": 1_000_000, "pointerSize": 133}},
    ]})
    .to_string()
}
