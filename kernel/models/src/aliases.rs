//! The study's names for its students and teachers (its appendix 5, and the models that it trains
//! with reasoning on and off).

/// A name for a model on the hub.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Alias {
    name: &'static str,
    pub(crate) repo_id: &'static str,
    /// Whether the model reasons before it answers; absent if its chat template decides.
    pub(crate) thinking: Option<bool>,
}

const ALIASES: [Alias; 13] = [
    alias("qwen4b", "Qwen/Qwen3-4B-Instruct-2507", None),
    alias("qwen30b", "Qwen/Qwen3-30B-A3B-Instruct-2507", None),
    alias("qwen235b", "Qwen/Qwen3-235B-A22B-Instruct-2507", None),
    alias("llama8b", "meta-llama/Llama-3.1-8B-Instruct", None),
    alias("llama70b", "meta-llama/Llama-3.3-70B-Instruct", None),
    alias("deepseek", "deepseek-ai/DeepSeek-V3.1", Some(false)),
    alias("gemma_4_26b_a4b_it", "google/gemma-4-26b-a4b-it", None),
    alias("qwen3_8b", "Qwen/Qwen3-8B", None),
    alias("qwen3_8b_thinking", "Qwen/Qwen3-8B", Some(true)),
    alias("qwen3_8b_no_thinking", "Qwen/Qwen3-8B", Some(false)),
    alias("qwen3_30b_a3b", "Qwen/Qwen3-30B-A3B", None),
    alias("qwen3_30b_thinking", "Qwen/Qwen3-30B-A3B", Some(true)),
    alias("qwen3_30b_no_thinking", "Qwen/Qwen3-30B-A3B", Some(false)),
];

/// Teachers without public weights.
const BEHIND_API: [&str; 4] = [
    "gpt_4.1_nano",
    "claude_haiku_4.5",
    "claude_opus_4.7",
    "gpt_5.5",
];

const fn alias(name: &'static str, repo_id: &'static str, thinking: Option<bool>) -> Alias {
    Alias {
        name,
        repo_id,
        thinking,
    }
}

/// The alias with this name, if there is one.
pub(crate) fn resolve(name: &str) -> Option<&'static Alias> {
    ALIASES.iter().find(|alias| alias.name == name)
}

/// Whether `name` is the study's name of a teacher without public weights.
pub(crate) fn is_behind_api(name: &str) -> bool {
    BEHIND_API.contains(&name)
}

/// The names of all aliases, for messages about a misspelt one.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALIASES.iter().map(|alias| alias.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Repo;

    #[test]
    fn every_alias_names_one_repository_on_the_hub() {
        for alias in &ALIASES {
            assert!(Repo::parse(alias.repo_id).is_some(), "{}", alias.repo_id);
            assert_eq!(resolve(alias.name), Some(alias));
            assert!(!is_behind_api(alias.name));
        }
    }
}
