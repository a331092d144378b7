//! Exchange of adapters with `peft` in both directions.
//!
//! `tests/reference/peft_adapters.py` recorded the adapters and their logits.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use offmodel_models::{Adapter, LoraConfig, Model, ModelError, Targets};
use safetensors::SafeTensors;
use serde_json::Value as Json;
use tch::{Device, Kind, Tensor};

/// The variable that names a virtual environment with `peft`, to load adapters that were saved here.
const REFERENCE_VENV: &str = "OFFMODEL_REFERENCE_VENV";

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

fn base_path(name: &str) -> PathBuf {
    tests().join("fixtures/architectures").join(name)
}

fn base(name: &str) -> Model {
    // Small matrix products are faster on one thread, especially while other tests run.
    tch::set_num_threads(1);
    Model::load(base_path(name).to_str().unwrap()).unwrap()
}

/// The adapters that `peft` wrote: the folder, name and base model of each.
fn recorded_adapters() -> Vec<(PathBuf, String, Model)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(tests().join("fixtures/adapters")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let model = std::fs::read_to_string(folder.join("base")).unwrap();
        all.push((folder, name, base(model.trim())));
    }
    assert_eq!(all.len(), 17);
    all
}

/// The tokens and logits that `peft` recorded with an adapter.
fn recorded_logits(folder: &Path) -> (Vec<u32>, Tensor) {
    let bytes = std::fs::read(folder.join("reference.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tokens = file.tensor("tokens").unwrap();
    let token = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap()) as u32;
    let tokens = tokens.data().chunks(8).map(token).collect();
    let logits = file.tensor("logits").unwrap();
    let shape: Vec<i64> = logits.shape().iter().map(|&size| size as i64).collect();
    (
        tokens,
        Tensor::from_data_size(logits.data(), &shape, Kind::Float),
    )
}

fn logits(model: &Model, tokens: &[u32]) -> Tensor {
    model.logits(tokens).unwrap().to_device(Device::Cpu)
}

/// The largest difference, relative to the largest expected number.
fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    ((found - expected).abs().max() / expected.abs().max()).double_value(&[])
}

#[test]
fn adapters_of_peft_have_its_logits_merged_and_unmerged() {
    for (folder, name, model) in recorded_adapters() {
        let (tokens, expected) = recorded_logits(&folder);
        let before = logits(&model, &tokens);
        let adapted = model.load_adapter(&folder).unwrap();
        let found = logits(&adapted, &tokens);
        let distance = difference(&found, &expected);
        println!("{name}: {distance:.1e} from peft");
        assert!(distance <= 1e-4, "{name}: {distance:e}");

        let merged = adapted.merge().unwrap();
        let distance = difference(&logits(&merged, &tokens), &found);
        println!("{name}: {distance:.1e} merged");
        assert!(distance <= 1e-5, "{name}: {distance:e} merged");
        assert!(merged.memory_bytes() > adapted.memory_bytes());
        // Merging has not changed the shared weights or the adapter.
        assert_eq!(logits(&merged.unmerge(), &tokens), found, "{name}");
        assert_eq!(logits(&merged.without_adapter(), &tokens), before, "{name}");
        assert_eq!(logits(&model, &tokens), before, "{name}");
    }
}

#[test]
fn a_saved_adapter_loads_bit_for_bit() {
    let temporary = tempfile::tempdir().unwrap();
    for (folder, name, model) in recorded_adapters() {
        let (tokens, _) = recorded_logits(&folder);
        let adapted = model.load_adapter(&folder).unwrap();
        let adapter = adapted.adapter().unwrap();
        let saved = temporary.path().join("deep").join(&name);
        // The second save replaces the first.
        adapter.save(&saved).unwrap();
        adapter.save(&saved).unwrap();
        let read = model.load_adapter(&saved).unwrap();
        assert_eq!(logits(&read, &tokens), logits(&adapted, &tokens), "{name}");
        let read = read.adapter().unwrap();
        assert_eq!(
            (read.config(), read.base()),
            (adapter.config(), adapter.base())
        );
        assert!(read.base().unwrap().starts_with("offmodel/"), "{name}");
        assert_eq!(
            names(&saved),
            BTreeSet::from(["adapter_config.json", "adapter_model.safetensors"].map(str::to_owned))
        );
        // Our configuration says the same as PEFT's, but lists the target modules by name.
        let theirs = json(&folder.join("adapter_config.json"));
        let ours = json(&saved.join("adapter_config.json"));
        for (field, value) in ours.as_object().unwrap() {
            if !matches!(
                field.as_str(),
                "target_modules" | "alpha_pattern" | "rank_pattern"
            ) {
                assert_eq!(value, &theirs[field], "{name}: {field}");
            }
        }
    }
    assert_eq!(names(&temporary.path().join("deep")).len(), 17);
}

#[test]
fn peft_loads_adapters_that_were_saved_here() {
    let Some(venv) = std::env::var_os(REFERENCE_VENV) else {
        offmodel_support::testing::skip(format_args!(
            "no Python with transformers and peft (set {REFERENCE_VENV})"
        ));
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let experts = ["gate_proj", "up_proj", "down_proj"];
    let patterns = LoraConfig {
        rank_pattern: [("v_proj".to_owned(), 2)].into(),
        alpha_pattern: [(r"layers\.0\..*".to_owned(), 2.5)].into(),
        ..config(r".*\.self_attn\.(q|v)_proj")
    };
    let stable = LoraConfig {
        rslora: true,
        ..config(["o_proj", "down_proj"])
    };
    let router = LoraConfig {
        rank_pattern: [("gate.weight".to_owned(), 2)].into(),
        alpha_pattern: [(r"layers\.1\.mlp\.gate\.weight".to_owned(), 7.0)].into(),
        ..config(["q_proj", "mlp.gate"])
    };
    for (name, model, config) in [
        (
            "tied",
            "llama_odd_heads_tied",
            config(["q_proj", "lm_head"]),
        ),
        (
            "untied",
            "llama_scaled_rope",
            config(["lm_head", "up_proj"]),
        ),
        ("patterns", "llama_biases", patterns),
        ("stable", "qwen3_odd_heads", stable),
        ("all", "qwen3_yarn", config("all-linear")),
        ("experts", "qwen3_moe_normalised", config(experts)),
        ("latent", "deepseek_v3", config(["kv_b_proj", "q_a_proj"])),
        ("router", "qwen3_moe_unnormalised", router),
        ("sigmoid", "deepseek_v3_yarn", config(["gate", "o_proj"])),
        ("beside", "gemma4_experts", config(["router.proj"])),
        ("every", "qwen3_moe_yarn", config("all-linear")),
    ] {
        let path = base_path(model);
        let model = base(model);
        let adapter = random_adapter(&model, config);
        let folder = temporary.path().join(name);
        adapter.save(&folder).unwrap();
        let tokens: Vec<u32> = (0..20).map(|index| index * 7 % 61).collect();
        let logits = logits(&model.with_adapter(&adapter).unwrap(), &tokens);
        let tokens: Vec<i64> = tokens.into_iter().map(i64::from).collect();
        let tensors = [("tokens", Tensor::from_slice(&tokens)), ("logits", logits)];
        Tensor::write_safetensors(&tensors, folder.join("reference.safetensors")).unwrap();
        std::fs::write(folder.join("base"), path.to_str().unwrap()).unwrap();
    }
    let run = Command::new(Path::new(&venv).join("bin/python"))
        .arg(tests().join("reference/peft_adapters.py"))
        .arg("check")
        .arg(temporary.path())
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{stderr}");
    println!("{}", String::from_utf8_lossy(&run.stdout));
}

#[test]
fn inconsistent_files_are_errors_with_the_facts() {
    let model = base("llama_scaled_rope");
    let folder = tests().join("fixtures/adapters/brain_floats");
    let temporary = tempfile::tempdir().unwrap();
    let copy = temporary.path().join("adapter");
    std::fs::create_dir(&copy).unwrap();
    let (config, tensors) = ("adapter_config.json", "adapter_model.safetensors");
    let restore = || {
        for file in [config, tensors] {
            std::fs::copy(folder.join(file), copy.join(file)).unwrap();
        }
    };
    let error = || model.load_adapter(&copy).unwrap_err().to_string();
    let change = |field: &str, value: Json| {
        restore();
        let mut json = json(&copy.join(config));
        json[field] = value;
        std::fs::write(copy.join(config), json.to_string()).unwrap();
    };
    restore();
    assert!(model.load_adapter(&copy).is_ok());

    change("use_dora", true.into());
    assert!(error().contains("use_dora is true"), "{}", error());
    change("r", 3.into());
    assert!(
        error().contains("lora_A.weight has shape [4, "),
        "{}",
        error()
    );
    change("target_modules", vec!["o_proj", "q_proj"].into());
    let missing =
        "tensor base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight is missing";
    assert!(error().contains(missing), "{}", error());

    restore();
    let whole = std::fs::read(copy.join(tensors)).unwrap();
    std::fs::write(copy.join(tensors), &whole[..whole.len() - 10]).unwrap();
    assert!(matches!(
        model.load_adapter(&copy),
        Err(ModelError::Safetensors { .. })
    ));
    std::fs::remove_file(copy.join(tensors)).unwrap();
    assert!(matches!(
        model.load_adapter(&copy),
        Err(ModelError::Read { .. })
    ));
    std::fs::write(copy.join("adapter_model.bin"), "pickled").unwrap();
    assert!(
        error().contains("adapter_model.bin, supported"),
        "{}",
        error()
    );

    // An adapter of another model, and one with a copy of another model's output layer.
    let other = base("qwen3_tied");
    let error = other.load_adapter(&folder).unwrap_err().to_string();
    assert!(error.contains("in the model"), "{error}");
    let untied = tests().join("fixtures/adapters/untied_output_layer");
    let error = base("llama_biases").load_adapter(untied).unwrap_err();
    let expected = "tensor base_model.model.lm_head.base_layer.weight is another weight";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn an_adapter_does_not_replace_a_folder_with_other_files() {
    let model = base("qwen3_tied");
    let adapter = random_adapter(&model, config(["q_proj"]));
    let temporary = tempfile::tempdir().unwrap();
    std::fs::write(temporary.path().join("notes.txt"), "mine").unwrap();
    let error = adapter.save(temporary.path()).unwrap_err();
    assert!(matches!(error, ModelError::Write { .. }), "{error}");
    assert_eq!(
        names(temporary.path()),
        BTreeSet::from(["notes.txt".to_owned()])
    );
}

fn config(targets: impl Into<Targets>) -> LoraConfig {
    LoraConfig {
        rank: 3,
        alpha: 5.0,
        targets: targets.into(),
        ..LoraConfig::default()
    }
}

/// An adapter with random A and B on the modules that `config` selects.
fn random_adapter(model: &Model, config: LoraConfig) -> Adapter {
    tch::manual_seed(3);
    let untrained = model.untrained_adapter(&config, 1).unwrap();
    let random = |matrix: &Tensor| matrix.randn_like() * 0.3;
    let matrices = untrained
        .modules()
        .map(|(module, a, b)| (module.to_owned(), random(a), random(b)));
    Adapter::from_tensors(config, matrices.collect::<Vec<_>>()).unwrap()
}

fn json(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
