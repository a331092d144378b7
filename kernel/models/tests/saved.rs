//! Saves models as folders that offmodel and `transformers` read.
#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use offmodel_models::{
    Adapter, Chat, LoadOptions, LoraConfig, Model, ModelError, Precision, SaveOptions,
};
use safetensors::SafeTensors;
use serde_json::Value as Json;
use tch::{Device, Tensor};

/// A virtual environment with `transformers`.
const REFERENCE_VENV: &str = "OFFMODEL_REFERENCE_VENV";
/// A shard size that splits the small models into several files.
const SMALL_SHARD_BYTES: u64 = 10_000;

fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

fn load(folder: &Path, options: &LoadOptions) -> Model {
    // Small products are faster on one thread, by far where other processes use the cores.
    tch::set_num_threads(1);
    let options = options.clone().device(Device::Cpu);
    Model::load_with(folder.to_str().unwrap(), &options).unwrap()
}

fn load_fixture(name: &str) -> Model {
    let folder = tests_folder().join("fixtures/architectures").join(name);
    load(&folder, &LoadOptions::default())
}

/// The folders of all small models.
fn fixtures() -> Vec<PathBuf> {
    let folder = tests_folder().join("fixtures/architectures");
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The small models with the recorded adapters of PEFT, not merged.
fn adapted_models() -> Vec<(String, Model)> {
    let entries = std::fs::read_dir(tests_folder().join("fixtures/adapters")).unwrap();
    let model = |folder: PathBuf| {
        let model = std::fs::read_to_string(folder.join("base")).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        (
            name,
            load_fixture(model.trim()).load_adapter(folder).unwrap(),
        )
    };
    entries.map(|entry| model(entry.unwrap().path())).collect()
}

fn tokens() -> Vec<u32> {
    (0..20).map(|index| index * 7 % 61).collect()
}

fn logits(model: &Model) -> Tensor {
    model.logits(&tokens()).unwrap()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn json(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_saved_model_computes_the_same_to_the_last_bit() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("runs/saved");
    for fixture in fixtures() {
        let model = load(&fixture, &LoadOptions::default());
        let name = fixture.display();
        // Each model replaces the one before, as one file and then as several.
        for options in [
            SaveOptions::default(),
            SaveOptions::default().shard_bytes(SMALL_SHARD_BYTES),
        ] {
            model.save_with(&path, &options).unwrap();
            let again = load(&path, &LoadOptions::default());
            assert_eq!(again.configuration(), model.configuration(), "{name}");
            assert_eq!(again.parameter_count(), model.parameter_count(), "{name}");
            assert_eq!(logits(&again), logits(&model), "{name}");
        }
        assert!(path.join("model.safetensors.index.json").is_file());
        assert!(!path.join("model.safetensors").exists());
    }
    assert_eq!(
        names(&temporary.path().join("runs")),
        BTreeSet::from(["saved".to_owned()])
    );
}

#[test]
fn a_merged_adapter_is_saved_as_part_of_the_weights() {
    let temporary = tempfile::tempdir().unwrap();
    for (name, model) in adapted_models() {
        let folder = temporary.path().join(&name);
        let error = model.save(&folder).unwrap_err();
        assert!(matches!(error, ModelError::Adapter { .. }), "{error}");
        assert!(!folder.exists());

        let merged = model.merge().unwrap();
        merged.save(&folder).unwrap();
        let again = load(&folder, &LoadOptions::default());
        assert!(again.adapter().is_none());
        assert_eq!(logits(&again), logits(&merged), "{name}");
        assert_ne!(logits(&again), logits(&model.without_adapter()), "{name}");
        // An adapted output layer is no longer tied to the embedding; a tied one is not written.
        let was_tied = model.configuration().tie_word_embeddings;
        let adapts_head = model
            .adapter()
            .unwrap()
            .modules()
            .any(|(module, ..)| module == "lm_head");
        let is_tied = was_tied && !adapts_head;
        assert_eq!(again.configuration().tie_word_embeddings, is_tied, "{name}");
        let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("lm_head.weight").is_ok(), !is_tied, "{name}");
    }
}

#[test]
fn weights_are_saved_in_their_precision_or_in_another() {
    let temporary = tempfile::tempdir().unwrap();
    for name in ["gemma4_experts", "deepseek_v3", "llama_biases"] {
        let fixture = tests_folder().join("fixtures/architectures").join(name);
        let half = LoadOptions::default().precision(Precision::Bf16);
        let model = load(&fixture, &half);
        let (one, other) = (temporary.path().join("one"), temporary.path().join("other"));
        model.save(&one).unwrap();
        let exact = load(&fixture, &LoadOptions::default());
        let options = SaveOptions::default().precision(Precision::Bf16);
        exact.save_with(&other, &options).unwrap();
        let weights = |folder: &Path| std::fs::read(folder.join("model.safetensors")).unwrap();
        assert!(weights(&one) == weights(&other), "{name}");
        assert_eq!(json(&one.join("config.json"))["dtype"], "bfloat16");
        let again = load(&one, &half);
        // DeepSeek's router is in f32 in memory; saved in bf16, it may choose other experts.
        if name != "deepseek_v3" {
            assert_eq!(logits(&again), logits(&model), "{name}");
        }
        again.save(&other).unwrap();
        assert!(
            weights(&one) == weights(&other),
            "{name}: rounding twice changes nothing"
        );
        let bytes = weights(&one);
        for (tensor, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            // `transformers` keeps this tensor in f32 in any case.
            let expected = if tensor.ends_with("e_score_correction_bias") {
                safetensors::Dtype::F32
            } else {
                safetensors::Dtype::BF16
            };
            assert_eq!(view.dtype(), expected, "{name}: {tensor}");
        }
    }
}

#[test]
fn saving_replaces_the_files_of_a_model_but_no_other_files() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("student");
    load_fixture("llama_biases").save(&folder).unwrap();
    let templates = folder.join("additional_chat_templates");
    std::fs::create_dir(&templates).unwrap();
    std::fs::write(templates.join("brief.jinja"), "{{ messages[0].content }}").unwrap();
    let model = load(&folder, &LoadOptions::default());
    let before = names(&folder);
    model.save(&folder).unwrap();
    assert_eq!(names(&folder), before);
    assert_eq!(
        logits(&load(&folder, &LoadOptions::default())),
        logits(&model)
    );
    let brief = load(&folder, &LoadOptions::default())
        .with_chat_template("brief")
        .unwrap();
    assert_eq!(brief.render(&Chat::user("hi"), true).unwrap(), "hi");

    std::fs::write(folder.join("notes.txt"), "mine").unwrap();
    let error = model.save(&folder).unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert!(reason.contains("has notes.txt in it"), "{reason}");
    assert!(folder.join("notes.txt").is_file());
    assert_eq!(
        names(temporary.path()),
        BTreeSet::from(["student".to_owned()])
    );
}

#[test]
fn a_missing_tokenizer_is_an_error_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let (first, second) = (
        temporary.path().join("first"),
        temporary.path().join("second"),
    );
    load_fixture("qwen3_tied").save(&first).unwrap();
    let model = load(&first, &LoadOptions::default());
    std::fs::remove_dir_all(&first).unwrap();
    let error = model.save(&second).unwrap_err();
    assert!(matches!(error, ModelError::Read { .. }), "{error}");
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
    assert_eq!(names(temporary.path()), BTreeSet::new());
}

/// A GGUF file has weights, tokenizer and chat template in another form.
#[test]
fn a_model_from_a_gguf_file_becomes_a_folder() {
    let model = match Model::load("smollm2") {
        Err(ModelError::NotFound { .. }) => {
            offmodel_support::testing::skip("no default model (`cargo demo` fetches it)");
            return;
        }
        model => model.unwrap(),
    };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("smollm2");
    model.save(&folder).unwrap();
    let again = load(&folder, &LoadOptions::default());
    assert_eq!(logits(&again), logits(&model));
    let text = "Was soll's? 1234 naïve\n\n  <|im_start|>user\n\tcafé 🐦";
    let ids = model.tokenizer().encode(text).unwrap();
    assert_eq!(again.tokenizer().encode(text).unwrap(), ids);
    assert_eq!(
        again.tokenizer().decode(&ids).unwrap(),
        model.tokenizer().decode(&ids).unwrap()
    );
    assert_eq!(
        again.tokenizer().eos_token_ids(),
        model.tokenizer().eos_token_ids()
    );
    assert_eq!(
        again.tokenizer().bos_token_id(),
        model.tokenizer().bos_token_id()
    );
    let chat = Chat::user("hi").assistant("there");
    assert_eq!(
        again.render(&chat, false).unwrap(),
        model.render(&chat, false).unwrap()
    );
    let configuration = |model: &Model| serde_json::to_value(model.configuration()).unwrap();
    assert_eq!(configuration(&again), configuration(&model));
}

#[test]
fn transformers_reads_saved_models() {
    let Some(venv) = std::env::var_os(REFERENCE_VENV) else {
        offmodel_support::testing::skip(format_args!(
            "no Python with transformers and peft (set {REFERENCE_VENV})"
        ));
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let mut cases: Vec<(String, Model)> = Vec::new();
    for fixture in fixtures() {
        let name = fixture.file_name().unwrap().to_str().unwrap().to_owned();
        cases.push((name, load(&fixture, &LoadOptions::default())));
    }
    for (name, model) in adapted_models() {
        cases.push((format!("adapter_{name}"), model.merge().unwrap()));
    }
    for name in ["gemma2", "gemma3"] {
        let file = tests_folder().join(format!("fixtures/gemma_gguf/{name}.gguf"));
        cases.push((format!("gguf_{name}"), load(&file, &LoadOptions::default())));
    }
    if let Ok(model) = Model::load("smollm2") {
        let lora = LoraConfig {
            rank: 4,
            ..LoraConfig::default()
        };
        tch::manual_seed(5);
        let untrained = model.untrained_adapter(&lora, 1).unwrap();
        let matrices = untrained
            .modules()
            .map(|(module, a, b)| (module.to_owned(), a.shallow_clone(), b.randn_like() * 0.02));
        let adapter = Adapter::from_tensors(lora, matrices.collect::<Vec<_>>()).unwrap();
        let merged = model.with_adapter(&adapter).unwrap().merge().unwrap();
        cases.push(("smollm2".to_owned(), merged));
    }
    for (index, (name, model)) in cases.iter().enumerate() {
        let folder = temporary.path().join(name);
        let bytes = if index % 2 == 0 {
            SMALL_SHARD_BYTES
        } else {
            5_000_000_000
        };
        let bytes = if name == "smollm2" {
            200_000_000
        } else {
            bytes
        };
        model
            .save_with(&folder, &SaveOptions::default().shard_bytes(bytes))
            .unwrap();
        let tokens: Vec<i64> = tokens().into_iter().map(i64::from).collect();
        let tensors = [
            ("tokens", Tensor::from_slice(&tokens)),
            ("logits", logits(model)),
        ];
        Tensor::write_safetensors(&tensors, folder.join("reference.safetensors")).unwrap();
        if model.chat_templates().next().is_some() {
            let text = model
                .render(&Chat::user("Hi there, 12!").assistant("ok"), false)
                .unwrap();
            let rendered =
                serde_json::json!({"text": text, "ids": model.tokenizer().encode(&text).unwrap()});
            std::fs::write(folder.join("said.json"), rendered.to_string()).unwrap();
        }
    }
    let run = Command::new(Path::new(&venv).join("bin/python"))
        .arg(tests_folder().join("reference/saved_models.py"))
        .arg(temporary.path())
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{stderr}");
    println!("{}", String::from_utf8_lossy(&run.stdout));
}
