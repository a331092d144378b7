//! Which files are part of a saved model.

use super::auxiliary_files::{AUXILIARY_FILES, TEMPLATES};
use super::config::CONFIG;
use super::weights::INDEX;

/// Whether a file or folder of this name is part of a saved model, of ours or of `transformers`.
pub(crate) fn is_model_file(name: &str) -> bool {
    let shard = name.strip_prefix("model");
    let is_shard = |rest: &str| {
        let number = rest.strip_suffix(".safetensors");
        let is_digit = |character: char| character.is_ascii_digit();
        number.is_some_and(|number| {
            number
                .split("-of-")
                .all(|part| part.trim_start_matches('-').chars().all(is_digit))
        })
    };
    name == CONFIG
        || name == INDEX
        || name == TEMPLATES
        || AUXILIARY_FILES.contains(&name)
        || shard.is_some_and(is_shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_told_from_what_may_not_be_lost() {
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
