//! Damaged model folders. Each one is refused with an error that names the file, and the tensor or
//! field. `tests/reference/architectures.py` makes the intact ones.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use offmodel_models::{LoadOptions, Model, ModelError};
use proptest::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tch::Device;
use tempfile::TempDir;

/// A copy of an intact model, to be damaged.
struct Folder(TempDir);

impl Folder {
    fn copy_of(model: &str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/architectures")
            .join(model);
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(source).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        Self(folder)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn load(&self) -> Result<Model, ModelError> {
        let options = LoadOptions::default().device(Device::Cpu);
        Model::load_with(self.0.path().to_str().unwrap(), &options)
    }

    /// The error of loading the model, with all its sources. `FOLDER` replaces the temporary path.
    fn error(&self) -> String {
        let error = self.load().err().map(|error| {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                text = format!("{text}: {inner}");
                source = inner.source();
            }
            text
        });
        let error = error.unwrap_or_else(|| panic!("the damaged model was loaded"));
        error.replace(self.0.path().to_str().unwrap(), "FOLDER")
    }

    fn change_json(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let path = self.path(file);
        let mut json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut json);
        std::fs::write(&path, json.to_string()).unwrap();
    }

    /// Rewrites `model.safetensors` after `change` has changed its tensors: type, shape and bytes by name.
    fn change_tensors(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>),
    ) {
        let path = self.path("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut tensors = tensors
            .iter()
            .map(|(name, view)| {
                let parts = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
                (name.to_owned(), parts)
            })
            .collect();
        change(&mut tensors);
        let views = tensors.iter().map(|(name, (dtype, shape, data))| {
            (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    }
}

const NORM: &str = "model.layers.1.input_layernorm.weight";

#[test]
fn the_intact_model_loads() {
    assert!(Folder::copy_of("llama_odd_heads_tied").load().is_ok());
}

#[test]
fn a_missing_tensor_is_named() {
    let folder = Folder::copy_of("llama_odd_heads_tied");
    folder.change_tensors(|tensors| {
        tensors.remove(NORM).unwrap();
    });
    assert_eq!(
        folder.error(),
        format!("failed to load FOLDER: tensor {NORM} is missing")
    );
}

#[test]
fn a_wrong_shape_is_reported_with_the_expected_one() {
    let folder = Folder::copy_of("llama_odd_heads_tied");
    folder.change_tensors(|tensors| {
        let (dtype, shape, data) = tensors.remove(NORM).unwrap();
        assert_eq!(shape, [24]);
        tensors.insert(NORM.to_owned(), (dtype, vec![12, 2], data));
    });
    assert_eq!(
        folder.error(),
        format!(
            "failed to load FOLDER/model.safetensors: tensor {NORM} has shape [12, 2], \
             the configuration needs [24]"
        )
    );
}

#[test]
fn a_truncated_file_is_named() {
    let folder = Folder::copy_of("llama_biases");
    let shard = "model-00002-of-00002.safetensors";
    let bytes = std::fs::read(folder.path(shard)).unwrap();
    for length in [0, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(folder.path(shard), &bytes[..length]).unwrap();
        let error = folder.error();
        assert!(
            error.starts_with(&format!("failed to load FOLDER/{shard}: "))
                // An empty file cannot be memory-mapped.
                || (length == 0 && error.starts_with(&format!("failed to read FOLDER/{shard}"))),
            "{length}: {error}"
        );
    }
}

#[test]
fn a_missing_shard_is_named() {
    let folder = Folder::copy_of("llama_biases");
    std::fs::remove_file(folder.path("model-00001-of-00002.safetensors")).unwrap();
    let error = folder.error();
    let expected = "failed to read FOLDER/model-00001-of-00002.safetensors: No such file";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn an_index_cannot_lead_out_of_the_folder() {
    for shard in [
        "../secret.safetensors",
        "/etc/passwd",
        "a/b.safetensors",
        "..",
        "",
    ] {
        let folder = Folder::copy_of("llama_biases");
        folder.change_json("model.safetensors.index.json", |index| {
            index["weight_map"]["model.norm.weight"] = json!(shard);
        });
        assert_eq!(
            folder.error(),
            format!(
                "failed to load FOLDER/model.safetensors.index.json: \
                 the shard of model.norm.weight is {shard:?}, expected a file name"
            )
        );
    }
}

#[test]
fn the_error_for_an_unsupported_architecture_lists_the_supported_ones() {
    let folder = Folder::copy_of("llama_odd_heads_tied");
    folder.change_json("config.json", |config| {
        config["model_type"] = json!("mamba")
    });
    let error = folder.error();
    let expected =
        "failed to load FOLDER/config.json: model_type is \"mamba\", supported: llama, qwen3";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn missing_and_invalid_fields_are_named() {
    let cases: [(&str, Value, &str); 10] = [
        ("hidden_size", Value::Null, "hidden_size is missing"),
        ("hidden_size", json!("wide"), "hidden_size is \"wide\""),
        ("num_hidden_layers", json!(-2), "num_hidden_layers is -2"),
        (
            "num_hidden_layers",
            json!(1_000_000),
            "num_hidden_layers is 1000000",
        ),
        (
            "vocab_size",
            json!(1_u64 << 40),
            "vocab_size is 1099511627776",
        ),
        ("num_key_value_heads", json!(2), "num_key_value_heads is 2"),
        ("rms_norm_eps", json!([]), "rms_norm_eps is []"),
        ("hidden_act", json!("relu"), "hidden_act is \"relu\""),
        (
            "rope_parameters",
            json!({"rope_type": "spiral"}),
            "rope_type is \"spiral\"",
        ),
        (
            "tie_word_embeddings",
            json!("no"),
            "tie_word_embeddings is \"no\"",
        ),
    ];
    for (field, value, expected) in cases {
        let folder = Folder::copy_of("llama_odd_heads_tied");
        folder.change_json("config.json", |config| config[field] = value);
        let error = folder.error();
        let expected = format!("failed to load FOLDER/config.json: {expected}");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn impossible_gemma_configurations_are_refused() {
    let cases: [(&str, &str, Value); 7] = [
        ("gemma4_shared_keys", "num_kv_shared_layers", json!(6)),
        ("gemma4_shared_keys", "num_kv_shared_layers", json!(5)),
        ("gemma4_shared_keys", "num_kv_shared_layers", json!(100)),
        (
            "gemma4_shared_keys",
            "layer_types",
            json!(["full_attention"]),
        ),
        (
            "gemma4_experts",
            "per_layer_config",
            json!({"0": {"head_dim": 6}}),
        ),
        ("gemma4_experts", "top_k_experts", json!(7)),
        (
            "gemma3_odd_heads",
            "use_bidirectional_attention",
            json!(true),
        ),
    ];
    for (model, field, value) in cases {
        let folder = Folder::copy_of(model);
        folder.change_json("config.json", |config| config[field] = value);
        let error = folder.error();
        let expected = format!("failed to load FOLDER/config.json: {field} is ");
        assert!(error.starts_with(&expected), "{model}: {error}");
    }
}

#[test]
fn an_unsupported_data_type_is_named() {
    let folder = Folder::copy_of("llama_odd_heads_tied");
    folder.change_tensors(|tensors| {
        let (_, shape, data) = tensors.remove(NORM).unwrap();
        let doubled = [data.clone(), data].concat();
        tensors.insert(NORM.to_owned(), (Dtype::I64, shape, doubled));
    });
    let error = folder.error();
    let expected = format!(
        "failed to load FOLDER/model.safetensors: the type of tensor {NORM} is I64, supported: F32"
    );
    assert!(error.starts_with(&expected), "{error}");

    // A type that safetensors does not have.
    let folder = Folder::copy_of("llama_odd_heads_tied");
    let path = folder.path("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes
        .windows(5)
        .position(|text| text == b"\"F32\"")
        .unwrap();
    let mut changed = bytes;
    changed[at + 1..at + 4].copy_from_slice(b"F33");
    std::fs::write(&path, changed).unwrap();
    let error = folder.error();
    assert!(
        error.starts_with("failed to load FOLDER/model.safetensors: ") && error.contains("F33"),
        "{error}"
    );
}

#[test]
fn weights_of_8_bits_without_scales_are_refused() {
    let folder = Folder::copy_of("deepseek_v3_float8");
    let scales = "model.layers.0.self_attn.o_proj.weight_scale_inv";
    folder.change_tensors(|tensors| {
        tensors.remove(scales).unwrap();
    });
    assert!(
        folder
            .error()
            .contains(&format!("tensor {scales} is missing"))
    );

    let folder = Folder::copy_of("deepseek_v3_float8");
    folder.change_json("config.json", |config| {
        config["quantization_config"]["weight_block_size"] = json!([10, 20]);
    });
    let error = folder.error();
    assert!(
        error.contains("quantization_config.weight_block_size is [10,20]"),
        "{error}"
    );
}

#[test]
fn other_quantisations_are_named() {
    let folder = Folder::copy_of("llama_odd_heads_tied");
    folder.change_json("config.json", |config| {
        config["quantization_config"] = json!({"quant_method": "gptq", "bits": 4});
    });
    assert_eq!(
        folder.error(),
        "failed to load FOLDER/config.json: quantization_config.quant_method is \"gptq\", \
         supported: fp8"
    );
}

#[test]
fn pickles_are_never_read() {
    for name in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        let folder = Folder::copy_of("llama_odd_heads_tied");
        std::fs::rename(folder.path("model.safetensors"), folder.path(name)).unwrap();
        assert_eq!(
            folder.error(),
            format!(
                "failed to load FOLDER/{name}: the format of the weights is Python's pickle, \
                 supported: safetensors"
            )
        );
    }
    let folder = Folder::copy_of("llama_odd_heads_tied");
    std::fs::remove_file(folder.path("model.safetensors")).unwrap();
    let error = folder.error();
    assert!(
        error.starts_with("failed to read FOLDER/model.safetensors"),
        "{error}"
    );
}

#[test]
fn the_error_for_a_model_larger_than_the_memory_says_how_much_it_needs() {
    // The file is sparse: it has a header and the right length, but takes no space.
    let folder = tempfile::tempdir().unwrap();
    let source = Folder::copy_of("llama_odd_heads_tied");
    let config = source.path("config.json");
    let tokenizer = source.path("tokenizer.json");
    std::fs::copy(config, folder.path().join("config.json")).unwrap();
    std::fs::copy(tokenizer, folder.path().join("tokenizer.json")).unwrap();
    let parameters = 1_u64 << 40;
    let header = json!({
        "model.embed_tokens.weight": {
            "dtype": "BF16", "shape": [1 << 20, 1 << 20], "data_offsets": [0, parameters * 2],
        },
    })
    .to_string();
    let path = folder.path().join("model.safetensors");
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    if let Err(error) = file.set_len(bytes.len() as u64 + parameters * 2) {
        offmodel_support::testing::skip(format_args!(
            "no files of two terabytes in this file system: {error}"
        ));
        return;
    }
    let options = LoadOptions::default().device(Device::Cpu);
    let error = Model::load_with(folder.path().to_str().unwrap(), &options).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, ModelError::InsufficientMemory { .. }),
        "{text}"
    );
    assert!(
        text.contains("needs 4398.0 GB for its weights in f32; there is room for")
            && text.contains("GB on Cpu"),
        "{text}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A damaged file is either refused or still a model.
    #[test]
    fn damaged_weights_do_not_panic(
        position in 0.0..1.0_f64,
        byte in any::<u8>(),
        in_header in any::<bool>(),
        cut in prop::option::of(0.0..1.0_f64),
    ) {
        let folder = Folder::copy_of("llama_odd_heads_tied");
        let path = folder.path("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let range = if in_header { header } else { bytes.len() };
        bytes[(position * range as f64) as usize] = byte;
        if let Some(cut) = cut {
            bytes.truncate((cut * bytes.len() as f64) as usize);
        }
        std::fs::write(&path, bytes).unwrap();
        if let Ok(model) = folder.load() {
            prop_assert!(model.logits(&[1, 2, 3]).is_ok());
        }
    }

    #[test]
    fn damaged_configurations_do_not_panic(
        field in prop::sample::select(vec![
            "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "head_dim",
            "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "sliding_window",
            "num_kv_shared_layers", "hidden_size_per_layer_input", "num_experts", "top_k_experts",
            "per_layer_config", "layer_types", "rope_parameters", "moe_intermediate_size",
        ]),
        value in prop_oneof![
            any::<i64>().prop_map(Value::from),
            (0..70_i64).prop_map(Value::from),
            Just(json!([])), Just(json!({})), Just(json!("text")), Just(Value::Null), Just(json!(1.5)),
        ],
        model in prop::sample::select(vec![
            "gemma4_experts", "gemma4_shared_keys", "gemma3_odd_heads", "deepseek_v3", "qwen3_moe_yarn",
        ]),
    ) {
        let folder = Folder::copy_of(model);
        folder.change_json("config.json", |config| config[field] = value);
        if let Ok(model) = folder.load() {
            let _ = model.logits(&[1, 2, 3]);
        }
    }
}
