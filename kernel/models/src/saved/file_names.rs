//! Which files belong to a saved model.

use super::auxiliary_files::{AUXILIARY_FILES, TEMPLATES_FOLDER};
use super::saved_config::CONFIG;
use super::weights::INDEX;

/// Whether a file or folder of this name belongs to a saved model, ours or that of `transformers`.
/// Saving a model over another may delete such files only.
pub(crate) fn is_model_file(name: &str) -> bool {
    name == CONFIG
        || name == INDEX
        || name == TEMPLATES_FOLDER
        || AUXILIARY_FILES.contains(&name)
        || is_weights_file(name)
}

/// Whether `name` is `model.safetensors` or a shard such as `model-00002-of-00010.safetensors`.
fn is_weights_file(name: &str) -> bool {
    let inner = name.strip_prefix("model");
    let inner = inner.and_then(|rest| rest.strip_suffix(".safetensors"));
    let is_number = |part: &str| {
        let digits = part.trim_start_matches('-');
        digits.chars().all(|character| character.is_ascii_digit())
    };
    inner.is_some_and(|inner| inner.split("-of-").all(is_number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_files_are_distinguished_from_files_that_must_not_be_deleted() {
        for name in [
            "config.json",
            "model.safetensors",
            "model-00002-of-00010.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json",
            "additional_chat_templates",
        ] {
            assert!(is_model_file(name), "{name}");
        }
        for name in [
            "README.md",
            "model_of_mine.safetensors",
            "model-final.safetensors",
            "adapter_config.json",
            "",
        ] {
            assert!(!is_model_file(name), "{name}");
        }
    }
}
