//! Folders as people leave them behind: what an earlier save or a fine-tuning script wrote must not
//! change the numbers.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::{Path, PathBuf};

use offmodel_models::{LoadOptions, Model};
use serde_json::{Value, json};
use tch::Device;

/// A copy of a small model that `transformers` saved.
struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn of(fixture: &str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/architectures")
            .join(fixture);
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(source).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn change_json(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let path = self.path(name);
        let mut value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(path, value.to_string()).unwrap();
    }

    fn load(&self) -> Model {
        let options = LoadOptions::default().device(Device::Cpu);
        Model::load_with(self.folder.path().to_str().unwrap(), &options).unwrap()
    }
}

#[test]
fn truncation_and_padding_in_tokenizer_json_are_not_applied() {
    let text = "<3> <4> <5> <6> <7>";
    let plain = Folder::of("qwen3_tied").load();
    let folder = Folder::of("qwen3_tied");
    folder.change_json("tokenizer.json", |tokenizer| {
        tokenizer["truncation"] = json!({
            "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0,
        });
        tokenizer["padding"] = json!({
            "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "<0>",
        });
    });
    let encode = |model: &Model| model.tokenizer().encode(text).unwrap();
    assert_eq!(encode(&folder.load()), encode(&plain));
}

#[test]
fn an_index_that_an_earlier_save_left_is_ignored() {
    let folder = Folder::of("qwen3_tied");
    let logits = |model: &Model| model.logits(&[3, 4, 5]).unwrap();
    let expected = logits(&folder.load());
    let stale = json!({"metadata": {}, "weight_map": {
        "model.embed_tokens.weight": "model-00001-of-00002.safetensors",
    }});
    std::fs::write(
        folder.path("model.safetensors.index.json"),
        stale.to_string(),
    )
    .unwrap();
    assert_eq!(logits(&folder.load()), expected);
}
