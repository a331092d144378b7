//! PEFT's `adapter_config.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{LoraConfig, Targets};
use crate::ModelError;

/// Fields that affect only how an adapter was initialised or trained, or nothing at all.
const IGNORED_FIELDS: [&str; 13] = [
    "auto_mapping",
    "corda_config",
    "eva_config",
    "inference_mode",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
    // Compresses activations that are saved for the backward pass.
    "velora_config",
];
/// Fields that narrow the target modules down. The tensors tell which modules remain.
const NARROWING_FIELDS: [&str; 3] = ["exclude_modules", "layers_to_transform", "layers_pattern"];
/// Initialisations that do not change the base weights. Others (PiSSA, OLoRA, CorDA, LoftQ) subtract
/// the initial update from them, so that the adapter is wrong for the original weights.
const SUPPORTED_INITIALISATIONS: [&str; 5] = ["true", "false", "gaussian", "eva", "orthogonal"];

/// The content of the file, as far as it affects what the adapter computes.
pub(super) struct PeftConfig {
    pub(super) lora: LoraConfig,
    /// The name of the base model.
    pub(super) base: Option<String>,
    /// Adapted tensors with the weights of all experts, such as `mlp.experts.down_proj`.
    pub(super) target_parameters: Vec<String>,
    /// Whether fields that [`LoraConfig`] does not have narrow the target modules down.
    pub(super) is_narrowed: bool,
}

impl PeftConfig {
    /// Parses the JSON of the file at `path`; the path appears in errors only.
    pub(super) fn from_json(path: &Path, json: &Value) -> Result<Self, ModelError> {
        let fields = Fields { path, json };
        fields.check_supported()?;
        let lora = LoraConfig {
            rank: fields.required("r", "positive integers")?,
            alpha: fields.required("lora_alpha", "numbers")?,
            targets: fields
                .optional("target_modules", "a list or a string")?
                .unwrap_or_else(|| Targets::Names(vec![])),
            dropout: fields.optional("lora_dropout", "numbers")?.unwrap_or(0.0),
            rslora: fields
                .optional("use_rslora", "true, false")?
                .unwrap_or(false),
            rank_pattern: fields.map("rank_pattern")?,
            alpha_pattern: fields.map("alpha_pattern")?,
        };
        Ok(Self {
            lora,
            base: fields.optional("base_model_name_or_path", "a string")?,
            target_parameters: fields
                .optional("target_parameters", "a list of names")?
                .unwrap_or_default(),
            is_narrowed: NARROWING_FIELDS.iter().any(|name| !is_empty(&json[*name])),
        })
    }
}

/// The content of the file for an adapter.
pub(super) fn to_json(lora: &LoraConfig, base: Option<&str>) -> Value {
    json!({
        "alpha_pattern": alphas_to_json(&lora.alpha_pattern),
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "lora_alpha": alpha_to_json(lora.alpha),
        "lora_dropout": lora.dropout,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": lora.rank,
        "rank_pattern": lora.rank_pattern,
        "target_modules": lora.targets,
        "task_type": "CAUSAL_LM",
        "use_dora": false,
        "use_rslora": lora.rslora,
    })
}

/// PEFT declares alpha as an integer, so a whole number is written without a decimal point.
fn alpha_to_json(alpha: f64) -> Value {
    /// Every whole number below is exact in `f64` and in `i64`.
    const MAX_WHOLE: f64 = 1e15;
    if alpha.fract() == 0.0 && alpha.abs() < MAX_WHOLE {
        json!(alpha as i64)
    } else {
        json!(alpha)
    }
}

fn alphas_to_json(alphas: &BTreeMap<String, f64>) -> Value {
    let alphas = alphas
        .iter()
        .map(|(pattern, &alpha)| (pattern.clone(), alpha_to_json(alpha)));
    Value::Object(alphas.collect())
}

/// The fields of a file, with errors that name file and field.
struct Fields<'a> {
    path: &'a Path,
    json: &'a Value,
}

impl Fields<'_> {
    /// Fails if a field would make PEFT compute something that this crate does not. An unknown field
    /// is accepted only if it is empty or off, because a newer PEFT may have added it.
    fn check_supported(&self) -> Result<(), ModelError> {
        let Some(fields) = self.json.as_object() else {
            return Err(self.unsupported("the file", "an object"));
        };
        if self.json["peft_type"] != "LORA" {
            return Err(self.unsupported("peft_type", "LORA"));
        }
        for (name, value) in fields {
            let (is_supported, supported) = match name.as_str() {
                "bias" => (value == "none", "none"),
                "init_lora_weights" => {
                    let text = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    let is_supported = SUPPORTED_INITIALISATIONS.contains(&text.as_str());
                    (is_supported, "true, false, gaussian, eva, orthogonal")
                }
                "modules_to_save" => (
                    is_empty(value),
                    "null: adapters with fully trained modules cannot be loaded",
                ),
                "peft_type"
                | "r"
                | "lora_alpha"
                | "target_modules"
                | "target_parameters"
                | "lora_dropout"
                | "use_rslora"
                | "rank_pattern"
                | "alpha_pattern"
                | "base_model_name_or_path" => {
                    continue;
                }
                name if IGNORED_FIELDS.contains(&name) || NARROWING_FIELDS.contains(&name) => {
                    continue;
                }
                _ => (is_empty(value), "null, false or empty"),
            };
            if !is_supported {
                return Err(self.unsupported(name, supported));
            }
        }
        Ok(())
    }

    fn optional<T: DeserializeOwned>(
        &self,
        name: &str,
        supported: &'static str,
    ) -> Result<Option<T>, ModelError> {
        let value = serde_json::from_value(self.json[name].clone());
        value.map_err(|_| self.unsupported(name, supported))
    }

    fn required<T: DeserializeOwned>(
        &self,
        name: &str,
        supported: &'static str,
    ) -> Result<T, ModelError> {
        self.optional(name, supported)?
            .ok_or_else(|| self.unsupported(name, supported))
    }

    fn map<V: DeserializeOwned>(&self, name: &str) -> Result<BTreeMap<String, V>, ModelError> {
        let map = self.optional(name, "a map from expressions to numbers")?;
        Ok(map.unwrap_or_default())
    }

    fn unsupported(&self, field: &str, supported: &'static str) -> ModelError {
        ModelError::Unsupported {
            path: self.path.to_owned(),
            field: field.to_owned(),
            found: match self.json.get(field) {
                Some(value) => value.to_string(),
                None => "missing".to_owned(),
            },
            supported,
        }
    }
}

/// Whether a value is null, false, zero or empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: Value) -> Result<PeftConfig, String> {
        let mut json = json!({
            "peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"],
        });
        for (name, value) in fields.as_object().unwrap() {
            json[name] = value.clone();
        }
        PeftConfig::from_json(Path::new("adapter_config.json"), &json)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_written_config_is_read_back() {
        let lora = LoraConfig {
            alpha: 2.5,
            targets: "all-linear".into(),
            dropout: 0.1,
            rslora: true,
            rank_pattern: [("q_proj".to_owned(), 2)].into(),
            alpha_pattern: [("v_proj".to_owned(), 7.0)].into(),
            ..LoraConfig::default()
        };
        let json = to_json(&lora, Some("Qwen/Qwen3-4B"));
        assert_eq!(json["alpha_pattern"], json!({"v_proj": 7}));
        let read = PeftConfig::from_json(Path::new("x"), &json).unwrap();
        assert_eq!(read.lora, lora);
        assert_eq!(read.base.as_deref(), Some("Qwen/Qwen3-4B"));
    }

    #[test]
    fn a_field_that_changes_the_computation_is_an_error_with_its_name() {
        for (field, value) in [
            ("use_dora", json!(true)),
            ("bias", json!("all")),
            ("fan_in_fan_out", json!(true)),
            ("modules_to_save", json!(["embed_tokens"])),
            ("init_lora_weights", json!("pissa")),
            ("trainable_token_indices", json!([1])),
            ("layer_replication", json!([[0, 4]])),
            ("invented_next_year", json!(0.5)),
            ("peft_type", json!("LOHA")),
            ("r", json!("4")),
        ] {
            let error = read(json!({ field: value })).err().unwrap();
            let expected = format!("failed to load adapter_config.json: {field} is {value}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn a_field_that_does_not_change_the_computation_is_ignored() {
        let config = read(json!({
            "peft_version": "0.99", "megatron_core": "megatron.core", "qalora_group_size": 16,
            "invented_next_year": null, "use_something": false, "loftq_config": {},
        }));
        assert!(!config.unwrap().is_narrowed);
        assert!(
            read(json!({"layers_to_transform": [0]}))
                .unwrap()
                .is_narrowed
        );
    }
}
