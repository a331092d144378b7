//! Compares every architecture with `transformers` on small models that `transformers` saved.
//!
//! `tests/reference/architectures.py` makes the models and records their logits.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use offmodel_models::{Adapter, LoadOptions, LoraConfig, Model, Precision};
use safetensors::SafeTensors;
use tch::{Device, Kind, Tensor};

/// One model and the logits that `transformers` computes with it.
struct Case {
    name: String,
    path: PathBuf,
    tokens: Vec<u32>,
    /// `[tokens, vocab_size]`, computed in `f32`.
    logits: Tensor,
    /// `[tokens, vocab_size]`, computed in `bf16`.
    logits_bf16: Tensor,
}

fn cases() -> Vec<Case> {
    // Small products are faster on one thread, by far where other processes use the cores.
    tch::set_num_threads(1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/architectures");
    let mut cases: Vec<Case> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| Case::read(&entry.unwrap().path()))
        .collect();
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

impl Case {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path.join("reference.safetensors")).unwrap();
        let reference = SafeTensors::deserialize(&bytes).unwrap();
        let tokens = reference.tensor("tokens").unwrap().data().chunks(8);
        let logits = |name: &str| {
            let view = reference.tensor(name).unwrap();
            let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
            Tensor::from_data_size(view.data(), &shape, Kind::Float)
        };
        Self {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            path: path.to_owned(),
            tokens: tokens
                .map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()) as u32)
                .collect(),
            logits: logits("logits"),
            logits_bf16: logits("logits_bf16"),
        }
    }

    fn load(&self, options: &LoadOptions) -> Model {
        match Model::load_with(self.path.to_str().unwrap(), options) {
            Ok(model) => model,
            Err(error) => panic!("{}: {error}", self.name),
        }
    }
}

/// The median over tokens of `|found - exact| / |exact|`, where `|x|` is the norm of a token's logits.
fn distance(found: &Tensor, exact: &Tensor) -> f64 {
    let norms = |x: &Tensor| x.norm_scalaropt_dim(2, [-1], false);
    let relative = norms(&(found - exact)) / norms(exact);
    relative.median().double_value(&[])
}

#[test]
fn every_architecture_has_three_configurations_or_more() {
    let mut counts = BTreeMap::new();
    for case in cases() {
        let model = case.load(&LoadOptions::default().device(Device::Cpu));
        *counts
            .entry(model.configuration().model_type.clone())
            .or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 7, "{counts:?}");
    assert!(counts.values().all(|&count| count >= 3), "{counts:?}");
}

#[test]
fn logits_equal_those_of_transformers() {
    let options = LoadOptions::default().device(Device::Cpu);
    let mut differences = Vec::new();
    for case in cases() {
        let found = case.load(&options).logits(&case.tokens).unwrap();
        let difference = (&found - &case.logits).abs().max() / case.logits.abs().max();
        differences.push((case.name, difference.double_value(&[])));
    }
    println!("{differences:#?}");
    for (name, difference) in differences {
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }
}

/// Two orders of computation round differently, so the logits in `bf16` cannot be equal. Ours must
/// not lose much more than those of `transformers`. The median over tokens counts: where two experts
/// have nearly the same score, rounding decides between them and changes one token's logits a lot.
#[test]
fn logits_in_bf16_are_as_close_to_exact_ones_as_those_of_transformers() {
    let options = LoadOptions::default()
        .device(Device::Cpu)
        .precision(Precision::Bf16);
    let mut distances = Vec::new();
    for case in cases() {
        let model = case.load(&options);
        assert_eq!(model.precision(), Precision::Bf16);
        let found = model.logits(&case.tokens).unwrap();
        assert_eq!(found.kind(), Kind::Float);
        let (ours, theirs) = (
            distance(&found, &case.logits),
            distance(&case.logits_bf16, &case.logits),
        );
        distances.push((case.name, ours, theirs));
    }
    println!("{distances:#?}");
    for (name, ours, theirs) in distances {
        assert!(
            ours <= 1.5 * theirs,
            "{name}: {ours:e}, transformers {theirs:e}"
        );
    }
}

#[test]
fn layers_distributed_over_several_stages_compute_the_same() {
    for case in cases() {
        let whole = case.load(&LoadOptions::default().device(Device::Cpu));
        let options = LoadOptions::default()
            .devices([Device::Cpu; 2])
            .spread_evenly();
        let spread = case.load(&options);
        let logits = |model: &Model| model.logits(&case.tokens).unwrap();
        assert_eq!(logits(&whole), logits(&spread), "{}", case.name);
        assert_eq!(whole.memory_bytes(), spread.memory_bytes());
    }
}

/// Training keeps adapters in `f32` even if the weights are in `bf16`, and on the device of their layer.
#[test]
fn an_adapter_works_on_rounded_and_on_distributed_weights() {
    let cpu = LoadOptions::default().device(Device::Cpu);
    let lora = LoraConfig {
        rank: 4,
        ..LoraConfig::default()
    };
    for case in cases() {
        if !["llama_biases", "qwen3_moe_yarn", "gemma4_experts"].contains(&case.name.as_str()) {
            continue;
        }
        let exact = case.load(&cpu);
        let untrained = exact.untrained_adapter(&lora, 1).unwrap();
        tch::manual_seed(2);
        let trained = untrained
            .modules()
            .map(|(module, a, b)| (module.to_owned(), a.shallow_clone(), b.randn_like() * 0.3));
        let adapter = Adapter::from_tensors(lora.clone(), trained).unwrap();
        let logits = |model: &Model| {
            let adapted = model.with_adapter(&adapter).unwrap();
            adapted.logits(&case.tokens).unwrap()
        };
        let expected = logits(&exact);
        let update = distance(&case.logits, &expected);
        assert!(update > 0.1, "{}: {update}", case.name);
        let even = LoadOptions::default()
            .devices([Device::Cpu; 2])
            .spread_evenly();
        assert_eq!(logits(&case.load(&even)), expected, "{}", case.name);
        let rounded = case.load(&cpu.clone().precision(Precision::Bf16));
        let lost = distance(&logits(&rounded), &expected);
        assert!(lost < update / 3.0, "{}: {lost} of {update}", case.name);
    }
}

#[test]
fn weights_of_16_bits_take_half_the_memory() {
    let case = cases()
        .into_iter()
        .find(|case| case.name == "gemma4_experts")
        .unwrap();
    let options = LoadOptions::default().device(Device::Cpu);
    let (full, half) = (
        case.load(&options),
        case.load(&options.clone().precision(Precision::F16)),
    );
    assert_eq!(full.memory_bytes(), half.memory_bytes() * 2);
    assert_eq!(full.parameter_count(), half.parameter_count());
    assert_eq!(
        half.memory_by_device(),
        [(Device::Cpu, half.memory_bytes())]
    );
    let shown = half.to_string();
    assert!(shown.ends_with("0 MB on Cpu in f16)"), "{shown}");
}
