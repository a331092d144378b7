//! The `config.json` of a saved model.

use serde_json::{Map, Value, json};

use crate::{Configuration, Precision};

pub(crate) const CONFIG: &str = "config.json";

/// Fields outside `text_config`, in models of text and images, that the text model needs too.
const SHARED_FIELDS: [&str; 3] = ["bos_token_id", "eos_token_id", "pad_token_id"];
/// Fields that do not apply to the saved model: its weights are not quantised, `dtype` replaces the
/// `torch_dtype` of older versions, and the text model becomes the whole model.
const REMOVED_FIELDS: [&str; 3] = ["quantization_config", "torch_dtype", "text_config"];

/// The properties of a saved model in which its `config.json` may differ from the original one.
pub(crate) struct SavedConfig<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) precision: Precision,
    /// Whether the output layer shares the embedding's weight.
    pub(crate) is_tied: bool,
}

impl SavedConfig<'_> {
    /// The saved model's `config.json`, derived from the original one.
    pub(crate) fn json(&self, original: &Value) -> Value {
        let inner = original.get("text_config").and_then(Value::as_object);
        let outer = original.as_object().cloned().unwrap_or_default();
        let mut fields = match inner {
            Some(text) => {
                let mut fields = text.clone();
                for name in SHARED_FIELDS {
                    if let (None, Some(value)) = (non_null(&fields, name), outer.get(name)) {
                        fields.insert(name.to_owned(), value.clone());
                    }
                }
                fields
            }
            None => outer,
        };
        for name in REMOVED_FIELDS {
            fields.remove(name);
        }
        let model_type = &self.configuration.model_type;
        let dtype = match self.precision {
            Precision::F32 => "float32",
            Precision::F16 => "float16",
            Precision::Bf16 => "bfloat16",
        };
        for (name, value) in [
            ("architectures", json!([architecture(model_type)])),
            ("dtype", json!(dtype)),
            ("model_type", json!(model_type)),
            ("tie_word_embeddings", json!(self.is_tied)),
        ] {
            fields.insert(name.to_owned(), value);
        }
        Value::Object(fields)
    }
}

fn non_null<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// The class in `transformers` for text models of this type.
fn architecture(model_type: &str) -> &'static str {
    match model_type {
        "qwen3" => "Qwen3ForCausalLM",
        "qwen3_moe" => "Qwen3MoeForCausalLM",
        "deepseek_v3" => "DeepseekV3ForCausalLM",
        "gemma2" => "Gemma2ForCausalLM",
        "gemma3_text" => "Gemma3ForCausalLM",
        "gemma4_text" => "Gemma4ForCausalLM",
        _ => "LlamaForCausalLM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_text_model_of_a_model_with_images_becomes_a_model_of_its_own() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fixtures/architectures/gemma3_with_images/config.json"
        );
        let original = crate::checkpoint::read_json(Path::new(path)).unwrap();
        let configuration = crate::checkpoint::ConfigJson::new(Path::new(path), &original)
            .configuration()
            .unwrap();
        let saved_config = SavedConfig {
            configuration: &configuration,
            precision: Precision::Bf16,
            is_tied: true,
        };
        let json = saved_config.json(&original);
        let again = crate::checkpoint::ConfigJson::new(Path::new(path), &json)
            .configuration()
            .unwrap();
        assert_eq!(again, configuration);
        assert_eq!(json["architectures"], json!(["Gemma3ForCausalLM"]));
        assert_eq!(json["dtype"], "bfloat16");
        assert!(json.get("vision_config").is_none() && json.get("text_config").is_none());
    }
}
