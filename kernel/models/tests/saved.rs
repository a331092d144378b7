//! Models as folders: what is saved here is read here, and by `transformers`.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use offmodel_models::{
    Adapter, Chat, LoadOptions, LoraConfig, Model, ModelError, Precision, SaveOptions,
};
use safetensors::SafeTensors;
use serde_json::Value as Json;
use tch::{Device, Tensor};

/// A virtual environment with `transformers`, for the way there.
const REFERENCE_VENV: &str = "OFFMODEL_REFERENCE_VENV";
/// A limit that divides the small models into several files.
const SMALL: u64 = 10_000;

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

fn loaded(folder: &Path, options: &LoadOptions) -> Model {
    // Small products are faster without other threads, by far where cores are busy.
    tch::set_num_threads(1);
    let options = options.clone().device(Device::Cpu);
    Model::load_with(folder.to_str().unwrap(), &options).unwrap()
}

fn base(name: &str) -> Model {
    let folder = tests().join("fixtures/architectures").join(name);
    loaded(&folder, &LoadOptions::default())
}

/// The folders of all small models.
fn fixtures() -> Vec<PathBuf> {
    let folder = tests().join("fixtures/architectures");
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The models with the recorded adapters of PEFT, which are not merged yet.
fn adapted() -> Vec<(String, Model)> {
    let entries = std::fs::read_dir(tests().join("fixtures/adapters")).unwrap();
    let model = |folder: PathBuf| {
        let model = std::fs::read_to_string(folder.join("base")).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        (name, base(model.trim()).load_adapter(folder).unwrap())
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
fn what_is_saved_computes_the_same_to_the_last_bit() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("runs/saved");
    for fixture in fixtures() {
        let model = loaded(&fixture, &LoadOptions::default());
        let name = fixture.display();
        // The later ones in place of the first, in one file and in several.
        for options in [
            SaveOptions::default(),
            SaveOptions::default().shard_bytes(SMALL),
        ] {
            model.save_with(&path, &options).unwrap();
            let again = loaded(&path, &LoadOptions::default());
            assert_eq!(again.configuration(), model.configuration(), "{name}");
            assert_eq!(again.parameter_count(), model.parameter_count(), "{name}");
            assert_eq!(logits(&again), logits(&model), "{name}");
        }
        assert!(path.join("model.safetensors.index.json").is_file());
        assert!(!path.join("model.safetensors").exists());
    }
    assert_eq!(
        names(&room.path().join("runs")),
        BTreeSet::from(["saved".to_owned()])
    );
}

#[test]
fn a_merged_adapter_is_part_of_the_weights() {
    let room = tempfile::tempdir().unwrap();
    for (name, model) in adapted() {
        let folder = room.path().join(&name);
        let error = model.save(&folder).unwrap_err();
        assert!(matches!(error, ModelError::Adapter { .. }), "{error}");
        assert!(!folder.exists());

        let merged = model.merge().unwrap();
        merged.save(&folder).unwrap();
        let again = loaded(&folder, &LoadOptions::default());
        assert!(again.adapter().is_none());
        assert_eq!(logits(&again), logits(&merged), "{name}");
        assert_ne!(logits(&again), logits(&model.without_adapter()), "{name}");
        // An adapted output layer is no embedding any more; others are not written twice.
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
    let room = tempfile::tempdir().unwrap();
    for name in ["gemma4_experts", "deepseek_v3", "llama_biases"] {
        let fixture = tests().join("fixtures/architectures").join(name);
        let half = LoadOptions::default().precision(Precision::Bf16);
        let model = loaded(&fixture, &half);
        let (one, other) = (room.path().join("one"), room.path().join("other"));
        model.save(&one).unwrap();
        let exact = loaded(&fixture, &LoadOptions::default());
        let options = SaveOptions::default().precision(Precision::Bf16);
        exact.save_with(&other, &options).unwrap();
        let weights = |folder: &Path| std::fs::read(folder.join("model.safetensors")).unwrap();
        assert!(weights(&one) == weights(&other), "{name}");
        assert_eq!(json(&one.join("config.json"))["dtype"], "bfloat16");
        let again = loaded(&one, &half);
        // DeepSeek's router was as exact as the file, in memory; its rounding may choose others.
        if name != "deepseek_v3" {
            assert_eq!(logits(&again), logits(&model), "{name}");
        }
        again.save(&other).unwrap();
        assert!(
            weights(&one) == weights(&other),
            "{name}: what is rounded stays"
        );
        let bytes = weights(&one);
        for (tensor, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            // What the reference keeps in f32 in any case.
            let expected = match tensor.ends_with("e_score_correction_bias") {
                true => safetensors::Dtype::F32,
                false => safetensors::Dtype::BF16,
            };
            assert_eq!(view.dtype(), expected, "{name}: {tensor}");
        }
    }
}

#[test]
fn a_model_is_saved_over_its_own_files_but_over_nobody_elses() {
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("student");
    base("llama_biases").save(&folder).unwrap();
    let templates = folder.join("additional_chat_templates");
    std::fs::create_dir(&templates).unwrap();
    std::fs::write(templates.join("brief.jinja"), "{{ messages[0].content }}").unwrap();
    let model = loaded(&folder, &LoadOptions::default());
    let before = names(&folder);
    model.save(&folder).unwrap();
    assert_eq!(names(&folder), before);
    assert_eq!(
        logits(&loaded(&folder, &LoadOptions::default())),
        logits(&model)
    );
    let brief = loaded(&folder, &LoadOptions::default())
        .with_chat_template("brief")
        .unwrap();
    assert_eq!(brief.render(&Chat::user("hi"), true).unwrap(), "hi");

    std::fs::write(folder.join("notes.txt"), "mine").unwrap();
    let error = model.save(&folder).unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert!(reason.contains("has notes.txt in it"), "{reason}");
    assert!(folder.join("notes.txt").is_file());
    assert_eq!(names(room.path()), BTreeSet::from(["student".to_owned()]));
}

#[test]
fn a_tokenizer_that_is_gone_is_an_error_and_leaves_nothing() {
    let room = tempfile::tempdir().unwrap();
    let (first, second) = (room.path().join("first"), room.path().join("second"));
    base("qwen3_tied").save(&first).unwrap();
    let model = loaded(&first, &LoadOptions::default());
    std::fs::remove_dir_all(&first).unwrap();
    let error = model.save(&second).unwrap_err();
    assert!(matches!(error, ModelError::Read { .. }), "{error}");
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
    assert_eq!(names(room.path()), BTreeSet::new());
}

/// Weights, tokenizer and chat template of a GGUF file, which has them in another form.
#[test]
fn a_model_from_a_gguf_file_becomes_a_folder() {
    let model = match Model::load("smollm2") {
        Err(ModelError::NotFound { .. }) => {
            offmodel_support::testing::skip("no default model (`cargo demo` fetches it)");
            return;
        }
        model => model.unwrap(),
    };
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("smollm2");
    model.save(&folder).unwrap();
    let again = loaded(&folder, &LoadOptions::default());
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
fn transformers_reads_what_is_saved_here() {
    let Some(venv) = std::env::var_os(REFERENCE_VENV) else {
        offmodel_support::testing::skip(format_args!(
            "no Python with transformers and peft (set {REFERENCE_VENV})"
        ));
        return;
    };
    let room = tempfile::tempdir().unwrap();
    let mut cases: Vec<(String, Model)> = Vec::new();
    for fixture in fixtures() {
        let name = fixture.file_name().unwrap().to_str().unwrap().to_owned();
        cases.push((name, loaded(&fixture, &LoadOptions::default())));
    }
    for (name, model) in adapted() {
        cases.push((format!("adapter_{name}"), model.merge().unwrap()));
    }
    for name in ["gemma2", "gemma3"] {
        let file = tests().join(format!("fixtures/gemma_gguf/{name}.gguf"));
        cases.push((
            format!("gguf_{name}"),
            loaded(&file, &LoadOptions::default()),
        ));
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
        let folder = room.path().join(name);
        let bytes = if index % 2 == 0 { SMALL } else { 5_000_000_000 };
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
            let said =
                serde_json::json!({"text": text, "ids": model.tokenizer().encode(&text).unwrap()});
            std::fs::write(folder.join("said.json"), said.to_string()).unwrap();
        }
    }
    let run = Command::new(Path::new(&venv).join("bin/python"))
        .arg(tests().join("reference/saved_models.py"))
        .arg(room.path())
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    println!("{}", String::from_utf8_lossy(&run.stdout));
}
