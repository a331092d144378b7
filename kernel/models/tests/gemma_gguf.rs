//! Compares Gemma in GGUF files, as llama.cpp's converter writes them, with `transformers` and
//! `sentencepiece`.
//!
//! `tests/reference/gemma_gguf.py` makes the files and records the reference.
#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::path::{Path, PathBuf};

use offmodel_models::{Chat, LoadOptions, Model};
use proptest::prelude::*;
use serde_json::Value as Json;
use tch::{Device, Tensor};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/gemma_gguf")
}

fn reference() -> Json {
    serde_json::from_slice(&std::fs::read(folder().join("reference.json")).unwrap()).unwrap()
}

fn load(path: &Path) -> Model {
    tch::set_num_threads(1);
    let options = LoadOptions::default().device(Device::Cpu);
    Model::load_with(path.to_str().unwrap(), &options).unwrap()
}

fn model(name: &str) -> Model {
    load(&folder().join(format!("{name}.gguf")))
}

fn tokens(json: &Json) -> Vec<u32> {
    serde_json::from_value(json.clone()).unwrap()
}

#[test]
fn logits_equal_those_of_transformers() {
    for (name, case) in reference()["models"].as_object().unwrap() {
        let found = model(name).logits(&tokens(&case["tokens"])).unwrap();
        let rows: Vec<Vec<f64>> = serde_json::from_value(case["last_logits"].clone()).unwrap();
        let expected = Tensor::from_slice2(&rows);
        let found = found.narrow(0, found.size()[0] - 3, 3);
        let difference = (found - &expected).abs().max() / expected.abs().max();
        let difference = difference.double_value(&[]);
        println!("{name}: {difference:e}");
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }
}

#[test]
fn tokens_are_those_of_sentencepiece() {
    let model = model("gemma3");
    let tokenizer = model.tokenizer();
    for case in reference()["texts"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let found = tokenizer.encode(text).unwrap();
        assert_eq!(found, tokens(&case["tokens"]), "{text:?}");
        let plain = text
            .replace("<start_of_turn>", "")
            .replace("<end_of_turn>", "");
        // SentencePiece represents a space by "▁", so both decode to a space.
        let plain = plain.replace('▁', " ");
        assert_eq!(tokenizer.decode(&found).unwrap(), plain);
    }
    let ends: Vec<_> = tokenizer
        .eos_token_ids()
        .iter()
        .map(|&end| tokenizer.id_to_token(end).unwrap())
        .collect();
    assert_eq!(ends, ["</s>", "<end_of_turn>"]);
}

#[test]
fn a_saved_copy_has_the_same_logits_tokens_and_template() {
    let temporary = tempfile::tempdir().unwrap();
    for name in ["gemma2", "gemma3"] {
        let model = model(name);
        let path = temporary.path().join(name);
        model.save(&path).unwrap();
        let again = load(&path);
        assert_eq!(again.configuration(), model.configuration());
        let chat = Chat::user("What is the  theory?").assistant("That 12 🐦.");
        let text = model.render(&chat, false).unwrap();
        assert_eq!(again.render(&chat, false).unwrap(), text);
        let ids = model.tokenizer().encode(&text).unwrap();
        assert_eq!(again.tokenizer().encode(&text).unwrap(), ids);
        assert_eq!(
            again.tokenizer().eos_token_ids(),
            model.tokenizer().eos_token_ids()
        );
        let logits = |model: &Model| model.logits(&ids).unwrap();
        let difference = (logits(&again) - logits(&model)).abs().max();
        // Loading adds 1 to the weights of norms once more, which rounds them.
        assert!(difference.double_value(&[]) < 1e-5, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Damages the metadata and the tensor infos, which are in the first part of the file.
    #[test]
    fn a_damaged_file_is_refused_or_still_a_model(
        position in 0..20_000_usize,
        damage in prop::collection::vec(any::<u8>(), 1..12),
    ) {
        let mut bytes = std::fs::read(folder().join("gemma3.gguf")).unwrap();
        bytes[position..position + damage.len()].copy_from_slice(&damage);
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("damaged.gguf");
        std::fs::write(&path, bytes).unwrap();
        // Either result is right; only a panic is a failure.
        let _ = Model::load_with(path.to_str().unwrap(), &LoadOptions::default().device(Device::Cpu));
    }
}
