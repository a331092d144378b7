//! One cache for offmodel and Python: what either downloads the other loads, without the hub.
//!
//! Hub and Python's side: `tests/reference/hub_cache.py`. Where the cache is, is read from the
//! environment, so loading happens in processes of their own: this file starts itself again.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use offmodel_models::{LoadOptions, Model, Tokenizer};
use serde_json::{Value as Json, json};
use tch::Device;

/// A virtual environment with `transformers` and so with `huggingface_hub`.
const REFERENCE_VENV: &str = "OFFMODEL_REFERENCE_VENV";
const CHILD: &str = "OFFMODEL_TEST_LOADS";
const TOKENS: [u32; 8] = [3, 1, 4, 1, 5, 9, 2, 6];
const TEXT: &str = "<15>";

/// A server that ends with the test.
struct Hub(Child);

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/hub_cache.py")
}

#[test]
fn python_and_offmodel_load_what_the_other_has_downloaded() {
    let Some(venv) = std::env::var_os(REFERENCE_VENV) else {
        offmodel_support::testing::skip(format_args!(
            "no Python with transformers and peft (set {REFERENCE_VENV})"
        ));
        return;
    };
    let python = Path::new(&venv).join("bin/python");
    let room = tempfile::tempdir().unwrap();
    // Sharded, with an index.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/architectures/llama_biases");
    let repository = room.path().join("repository");
    std::fs::create_dir(&repository).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "reference.safetensors" {
            std::fs::copy(entry.path(), repository.join(entry.file_name())).unwrap();
        }
    }
    let settings = r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#;
    std::fs::write(repository.join("tokenizer_config.json"), settings).unwrap();
    std::fs::write(repository.join("README.md"), "A model.").unwrap();

    let mut hub = Command::new(&python);
    hub.arg(script()).arg("serve").arg(&repository);
    let hub = hub.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut hub = Hub(hub.unwrap());
    let mut address = String::new();
    let said = hub.0.stdout.as_mut().unwrap();
    BufReader::new(said).read_line(&mut address).unwrap();

    let theirs = |task: &str, home: &Path, offline: bool| {
        let mut command = Command::new(&python);
        command.arg(script()).arg(task);
        answer(command, home, address.trim(), offline)
    };
    let ours = |home: &Path, offline: bool| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "the_process_that_loads", "--nocapture"]);
        answer(command, home, address.trim(), offline)
    };
    let (by_python, by_us) = (room.path().join("python"), room.path().join("offmodel"));
    let expected = theirs("download", &by_python, false);
    assert_same(&ours(&by_python, true), &expected);
    assert_same(&ours(&by_us, false), &expected);
    assert_same(&theirs("load", &by_us, true), &expected);
    // And back again, with both in one cache.
    assert_same(&ours(&by_us, true), &expected);
}

/// Not a test by itself: what the test above runs in a process of its own.
#[test]
fn the_process_that_loads() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let options = LoadOptions::default().device(Device::Cpu);
    let model = Model::load_with("org/model", &options).unwrap();
    let logits = Vec::<f32>::try_from(model.logits(&TOKENS).unwrap().view(-1)).unwrap();
    let tokens = Tokenizer::encode(model.tokenizer(), TEXT).unwrap();
    println!("{}", json!({"logits": logits, "tokens": tokens}));
}

/// The object that a process prints.
fn answer(mut command: Command, home: &Path, endpoint: &str, offline: bool) -> Json {
    for (name, _) in std::env::vars_os() {
        // The settings of whoever runs the tests.
        if name.to_string_lossy().starts_with("HF_") {
            command.env_remove(name);
        }
    }
    // Offline there is nobody at the endpoint.
    let endpoint = if offline {
        "http://127.0.0.1:9"
    } else {
        endpoint
    };
    command
        .env(CHILD, "1")
        .env("HF_HOME", home)
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
        .env("HF_HUB_DISABLE_TELEMETRY", "1");
    let run = command.output().unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    let program = command.get_program().display();
    let arguments: Vec<&OsStr> = command.get_args().collect();
    assert!(
        run.status.success(),
        "{program} {arguments:?}: {said}{complained}"
    );
    let object = said
        .lines()
        .find_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok());
    object.unwrap_or_else(|| panic!("{program} {arguments:?}: {said}{complained}"))
}

fn assert_same(found: &Json, expected: &Json) {
    assert_eq!(found["tokens"], expected["tokens"]);
    let numbers = |json: &Json| serde_json::from_value::<Vec<f64>>(json["logits"].clone()).unwrap();
    let (found, expected) = (numbers(found), numbers(expected));
    assert_eq!(found.len(), expected.len());
    let largest = expected
        .iter()
        .fold(0.0_f64, |largest, number| largest.max(number.abs()));
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            (found - expected).abs() <= 1e-4 * largest,
            "{found} instead of {expected}"
        );
    }
}
