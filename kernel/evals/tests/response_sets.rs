//! Reading and writing response sets as JSON lines. Errors name file and line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use offmodel_evals::{MAX_LINE_BYTES, ResponseReader, ResponseRecord, ResponseSet};

const GOOD: &str = r#"{"prompt":"Hi","response":"Hello","source":"me"}"#;

fn file(folder: &tempfile::TempDir, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join("set.jsonl");
    fs::write(&path, content).unwrap();
    path
}

/// The error of reading `content`, without the path.
fn error_text(content: impl AsRef<[u8]>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, content);
    let error = ResponseSet::read(&path).unwrap_err().to_string();
    let start = format!("failed to read {}", path.display());
    error
        .strip_prefix(&start)
        .unwrap_or_else(|| panic!("no path in {error}"))
        .to_owned()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn sample_set() -> ResponseSet {
    let sampled = ResponseRecord {
        system: Some("Be brief.".to_owned()),
        seed: Some(7),
        ..ResponseRecord::new("Grüße?\n\"x\"", "", "model")
    };
    ResponseSet::new(vec![ResponseRecord::new("Hi", "Hello", "me"), sampled])
}

#[test]
fn a_written_set_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.jsonl");
    sample_set().write(&path).unwrap();
    let read = ResponseSet::read(&path).unwrap();
    assert_eq!(read, sample_set());
    assert_eq!(read.sha256(), sample_set().sha256());
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[test]
fn gzip_is_recognised_by_content_not_by_file_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, gzip(format!("{GOOD}\n{GOOD}\n").as_bytes()));
    assert_eq!(ResponseSet::read(path).unwrap().len(), 2);
}

#[test]
fn unknown_fields_and_kinds_of_line_breaks_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let extra = r#"{"version":1,"prompt":"Hi","response":"","source":"me","topic":["greeting"]}"#;
    let path = file(&folder, format!("{GOOD}\r\n{extra}"));
    assert_eq!(ResponseSet::read(path).unwrap().len(), 2);
}

#[test]
fn errors_name_file_and_line() {
    let after_one = |line: &str| error_text(format!("{GOOD}\n{line}\n{GOOD}\n"));
    assert_eq!(
        error_text(""),
        ": the file is empty, expected one JSON object per line"
    );
    assert_eq!(
        after_one(""),
        ", line 2: the line is empty, expected a JSON object"
    );
    assert_eq!(
        after_one("  "),
        ", line 2: the line is empty, expected a JSON object"
    );
    assert!(after_one("{\"prompt\": ").starts_with(", line 2: the line is not JSON: EOF"));
    assert_eq!(
        after_one("[1]"),
        ", line 2: expected a JSON object, found a list"
    );
    assert_eq!(
        after_one(r#"{"prompt":"Hi","answer":"Hello","source":"me"}"#),
        ", line 2: the field \"response\" is missing; the line has prompt, answer, source"
    );
    assert_eq!(
        after_one(r#"{"prompt":"Hi","response":4,"source":"me"}"#),
        ", line 2: the field \"response\" must be a text, found a number"
    );
    assert_eq!(
        after_one(r#"{"prompt":" ","response":"Hello","source":"me"}"#),
        ", line 2: the field \"prompt\" is blank"
    );
    assert_eq!(
        after_one(r#"{"version":9,"prompt":"Hi","response":"","source":"me"}"#),
        ", line 2: the record has format version 9, but this offmodel reads versions up to 1: update it"
    );
    let mut bytes = format!("{GOOD}\n").into_bytes();
    bytes.extend(b"{\"prompt\":\"\xff\"}\n");
    assert_eq!(
        error_text(bytes),
        ", line 2: the line is not UTF-8: invalid byte at offset 11"
    );
}

#[test]
fn an_endless_line_is_rejected_in_bounded_memory() {
    let long = format!("{GOOD}\n{}", "x".repeat(MAX_LINE_BYTES + 1));
    assert_eq!(
        error_text(long),
        format!(", line 2: the line is longer than {MAX_LINE_BYTES} bytes")
    );
    // A kilobyte of gzip that would be a line of a gigabyte.
    let bomb = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let block = vec![b' '; 1 << 20];
        (0..1024).for_each(|_| encoder.write_all(&block).unwrap());
        encoder.finish().unwrap()
    };
    assert_eq!(
        error_text(bomb),
        format!(", line 1: the line is longer than {MAX_LINE_BYTES} bytes")
    );
}

#[test]
fn a_truncated_gzip_and_a_missing_file_are_errors() {
    let long: String = (0..2000)
        .map(|n| format!("{{\"prompt\":\"{n}\",\"response\":\"\",\"source\":\"\"}}\n"))
        .collect();
    let whole = gzip(long.as_bytes());
    let said = error_text(&whole[..whole.len() / 2]);
    assert!(
        said.starts_with(", line ") && !said.starts_with(", line 1:"),
        "{said}"
    );
    let error = ResponseSet::read("nowhere/set.jsonl")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("failed to open nowhere/set.jsonl: "),
        "{error}"
    );
}

#[test]
fn the_reader_yields_records_up_to_the_first_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, format!("{GOOD}\n{GOOD}\nnonsense\n{GOOD}\n"));
    let read: Vec<_> = ResponseReader::open(path).unwrap().collect();
    assert_eq!(
        read.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, true, false]
    );
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let error = sample_set()
        .write(folder.path().join("no/such/folder/set.jsonl"))
        .unwrap_err();
    assert!(error.to_string().starts_with("failed to write "), "{error}");
    // A folder in the way: nothing is replaced and no temporary file stays.
    let blocked = folder.path().join("taken");
    fs::create_dir(&blocked).unwrap();
    fs::write(blocked.join("inside"), "x").unwrap();
    assert!(sample_set().write(&blocked).is_err());
    assert_eq!(names(folder.path()), ["taken"]);
}

#[test]
fn sets_are_split_shuffled_and_matched_by_prompt() {
    let set = ResponseSet::new(
        (0..10)
            .map(|n| ResponseRecord::new(format!("p{n}"), format!("r{n}"), "a"))
            .collect(),
    );
    let (first, rest) = set.split(7);
    assert_eq!((first.len(), rest.len(), set.split(99).1.len()), (7, 3, 0));
    assert_eq!(set.shuffled(1), set.shuffled(1));
    assert_ne!(set.shuffled(1), set.shuffled(2));
    let other = ResponseSet::new(vec![
        ResponseRecord::new("p5", "", "b"),
        ResponseRecord::new("unknown", "", "b"),
        ResponseRecord::new("p2", "", "b"),
    ]);
    assert_eq!(set.with_prompts_of(&other).responses(), ["r5", "r2"]);
    assert_eq!(
        set.to_string(),
        "10 responses, 2 characters each on average, from a"
    );
}

#[test]
fn a_record_becomes_a_chat_with_its_system_prompt() {
    let chats = sample_set().chats();
    let roles: Vec<usize> = chats.iter().map(|chat| chat.messages.len()).collect();
    assert_eq!(roles, [2, 3]);
    assert_eq!(chats[0].response(), Some("Hello"));
    assert_eq!(chats[1].messages[0].content, "Be brief.");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
