//! A tokenizer from the files of a Hugging Face folder.

use std::path::Path;

use serde_json::Value;
use tokenizers::Tokenizer as HuggingFace;

use super::{Tokenizer, refused};
use crate::ModelError;
use crate::checkpoint::read_json;

impl Tokenizer {
    /// Reads `tokenizer.json`, and the special tokens of `tokenizer_config.json`,
    /// `generation_config.json` and `config.json`.
    pub(crate) fn from_folder(folder: &Path) -> Result<Self, ModelError> {
        let inner = HuggingFace::from_file(folder.join("tokenizer.json")).map_err(refused)?;
        let json = |name: &str| match folder.join(name) {
            path if path.is_file() => read_json(&path),
            _ => Ok(Value::Null),
        };
        let settings = json("tokenizer_config.json")?;
        let named = |field: &str| {
            // A token is its text or an object with it.
            let text = settings[field]
                .as_str()
                .or(settings[field]["content"].as_str());
            text.and_then(|text| inner.token_to_id(text))
        };
        let mut end: Vec<u32> = named("eos_token").into_iter().collect();
        for file in ["generation_config.json", "config.json"] {
            let ids = &json(file)?["eos_token_id"];
            let ids = ids
                .as_array()
                .map_or(std::slice::from_ref(ids), Vec::as_slice);
            for id in ids.iter().filter_map(Value::as_u64) {
                let id = u32::try_from(id).ok();
                end.extend(id.filter(|id| !end.contains(id)));
            }
        }
        Ok(Self {
            bos_token_id: named("bos_token"),
            inner,
            eos_token_ids: end,
        })
    }
}
