//! The tokenizer of a Hugging Face folder.

use std::path::Path;

use serde_json::Value;
use tokenizers::Tokenizer as HuggingFace;

use super::{Tokenizer, tokenizer_error};
use crate::ModelError;
use crate::checkpoint::read_json;

impl Tokenizer {
    /// Reads `tokenizer.json`, and the special tokens in `tokenizer_config.json`,
    /// `generation_config.json` and `config.json`.
    pub(crate) fn from_folder(folder: &Path) -> Result<Self, ModelError> {
        let mut inner =
            HuggingFace::from_file(folder.join("tokenizer.json")).map_err(tokenizer_error)?;
        // Fine-tuning scripts leave both in the file, where they would cut and pad every text.
        // `transformers` turns them off for each call, too.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(tokenizer_error)?;
        let json = |name: &str| match folder.join(name) {
            path if path.is_file() => read_json(&path),
            _ => Ok(Value::Null),
        };
        let config = json("tokenizer_config.json")?;
        let special_token = |field: &str| {
            // Either the token's text, or an object with the text as `content`.
            let text = config[field].as_str().or(config[field]["content"].as_str());
            text.and_then(|text| inner.token_to_id(text))
        };
        let mut eos_token_ids: Vec<u32> = special_token("eos_token").into_iter().collect();
        for file in ["generation_config.json", "config.json"] {
            let ids = &json(file)?["eos_token_id"];
            // Either one id or a list.
            let ids = ids
                .as_array()
                .map_or(std::slice::from_ref(ids), Vec::as_slice);
            for id in ids.iter().filter_map(Value::as_u64) {
                let id = u32::try_from(id).ok();
                eos_token_ids.extend(id.filter(|id| !eos_token_ids.contains(id)));
            }
        }
        Ok(Self {
            bos_token_id: special_token("bos_token"),
            eos_token_ids,
            inner,
        })
    }
}
