//! offmodel and Python share one cache: what one of them has downloaded, the other loads offline.
//!
//! `tests/reference/hub_cache.py` is the hub and the Python side. The cache folder comes from the
//! environment, which belongs to a whole process, so this test program starts itself again to load.
#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use offmodel_models::{LoadOptions, Model, Tokenizer};
use serde_json::{Value as Json, json};
use tch::Device;

/// A virtual environment with `transformers`, and therefore with `huggingface_hub`.
const REFERENCE_VENV: &str = "OFFMODEL_REFERENCE_VENV";
/// Set in the process that only loads.
const CHILD: &str = "OFFMODEL_TEST_LOADS";
const TOKENS: [u32; 8] = [3, 1, 4, 1, 5, 9, 2, 6];
const TEXT: &str = "<15>";

/// A server that is killed when the test ends.
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
    let temporary = tempfile::tempdir().unwrap();
    // A model in several shards with an index.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/architectures/llama_biases");
    let repository = temporary.path().join("repository");
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
    let stdout = hub.0.stdout.as_mut().unwrap();
    BufReader::new(stdout).read_line(&mut address).unwrap();

    let in_python = |task: &str, home: &Path, offline: bool| {
        let mut command = Command::new(&python);
        command.arg(script()).arg(task);
        printed_object(command, home, address.trim(), offline)
    };
    let in_rust = |home: &Path, offline: bool| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "the_process_that_loads", "--nocapture"]);
        printed_object(command, home, address.trim(), offline)
    };
    let (python_home, rust_home) = (
        temporary.path().join("python"),
        temporary.path().join("offmodel"),
    );
    let expected = in_python("download", &python_home, false);
    assert_same(&in_rust(&python_home, true), &expected);
    assert_same(&in_rust(&rust_home, false), &expected);
    assert_same(&in_python("load", &rust_home, true), &expected);
    // Python has used the cache meanwhile; offmodel must still accept it.
    assert_same(&in_rust(&rust_home, true), &expected);
}

/// Not a test by itself: the process that the test above starts.
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

/// Runs a process with `home` as its `HF_HOME`, and returns the JSON object that it prints.
fn printed_object(mut command: Command, home: &Path, endpoint: &str, offline: bool) -> Json {
    for (name, _) in std::env::vars_os() {
        // The developer's own settings must not reach the process.
        if name.to_string_lossy().starts_with("HF_") {
            command.env_remove(name);
        }
    }
    // Offline, no server listens at the endpoint.
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
    let (stdout, stderr) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    let program = command.get_program().display();
    let arguments: Vec<&OsStr> = command.get_args().collect();
    assert!(
        run.status.success(),
        "{program} {arguments:?}: {stdout}{stderr}"
    );
    let object = stdout
        .lines()
        .find_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok());
    object.unwrap_or_else(|| panic!("{program} {arguments:?}: {stdout}{stderr}"))
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
