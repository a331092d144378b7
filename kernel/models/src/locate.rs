//! Where model files are.

use std::path::{Path, PathBuf};

use crate::ModelError;

/// The folder of models if it is not in the cache folder.
const FOLDER_VARIABLE: &str = "OFFMODEL_MODELS";
/// The cache folder if it is not in the user's.
const CACHE_VARIABLE: &str = "OFFMODEL_CACHE";

/// A model that set-up fetches.
struct Known {
    name: &'static str,
    alias: &'static str,
    file: &'static str,
}

const KNOWN: [Known; 1] = [Known {
    name: "SmolLM2-135M-Instruct",
    alias: "smollm2",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
}];

/// A model file and the name to show.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Whether it is to reason, where the alias says so.
    pub(crate) thinking: Option<bool>,
}

/// Models that answer with or without reasoning first: alias, model and which of both.
const REASONING: [(&str, &str, bool); 4] = [
    ("qwen3_8b_thinking", "Qwen/Qwen3-8B", true),
    ("qwen3_8b_no_thinking", "Qwen/Qwen3-8B", false),
    ("qwen3_30b_thinking", "Qwen/Qwen3-30B-A3B", true),
    ("qwen3_30b_no_thinking", "Qwen/Qwen3-30B-A3B", false),
];

/// Finds a model by its name, its alias, or the path of its file.
pub(crate) fn locate(name_or_path: &str) -> Result<Located, ModelError> {
    match REASONING.iter().find(|(alias, ..)| *alias == name_or_path) {
        Some((_, name, thinking)) => Ok(Located {
            thinking: Some(*thinking),
            ..find(name)?
        }),
        None => find(name_or_path),
    }
}

fn find(name_or_path: &str) -> Result<Located, ModelError> {
    let known = |known: &&Known| {
        known.name.eq_ignore_ascii_case(name_or_path)
            || known.alias.eq_ignore_ascii_case(name_or_path)
    };
    let (located, hint) = match KNOWN.iter().find(known) {
        Some(known) => (
            Located {
                name: known.name.to_owned(),
                path: folder().join(known.file),
                thinking: None,
            },
            "run `cargo demo` or `offmodel-setup` to fetch it",
        ),
        None => (
            Located {
                name: stem(name_or_path),
                path: cached(name_or_path).unwrap_or_else(|| PathBuf::from(name_or_path)),
                thinking: None,
            },
            "expected a .gguf file, a folder with config.json, a Hugging Face name in the cache, or smollm2",
        ),
    };
    if located.path.is_file() || located.path.join("config.json").is_file() {
        Ok(located)
    } else {
        Err(ModelError::NotFound {
            name: name_or_path.to_owned(),
            path: located.path,
            hint,
        })
    }
}

/// The students and teachers of the study by the names that it gives them.
const ALIASES: [(&str, &str); 7] = [
    ("qwen4b", "Qwen/Qwen3-4B-Instruct-2507"),
    ("qwen30b", "Qwen/Qwen3-30B-A3B-Instruct-2507"),
    ("qwen235b", "Qwen/Qwen3-235B-A22B-Instruct-2507"),
    ("llama8b", "meta-llama/Llama-3.1-8B-Instruct"),
    ("llama70b", "meta-llama/Llama-3.3-70B-Instruct"),
    ("deepseek", "deepseek-ai/DeepSeek-V3.1"),
    ("gemma_4_26b_a4b_it", "google/gemma-4-26b-a4b-it"),
];

/// The snapshot of a model in Hugging Face's cache, by alias or `organisation/name`.
fn cached(name: &str) -> Option<PathBuf> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let (organisation, model) = alias.map_or(name, |(_, full)| full).split_once('/')?;
    let part = |text: &str| !text.is_empty() && !text.starts_with('.') && !text.contains('/');
    if Path::new(name).exists() || !part(organisation) || !part(model) {
        return None;
    }
    let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
    let hub = match set("HF_HUB_CACHE") {
        Some(hub) => PathBuf::from(hub),
        None => match set("HF_HOME") {
            Some(home) => PathBuf::from(home).join("hub"),
            None => dirs::cache_dir()?.join("huggingface").join("hub"),
        },
    };
    let folder = hub.join(format!("models--{organisation}--{model}"));
    let revision = std::fs::read_to_string(folder.join("refs").join("main")).ok()?;
    Some(folder.join("snapshots").join(revision.trim()))
}

/// Where set-up puts models.
fn folder() -> PathBuf {
    let set = |variable| std::env::var_os(variable).filter(|folder| !folder.is_empty());
    if let Some(folder) = set(FOLDER_VARIABLE) {
        return PathBuf::from(folder);
    }
    let cache = set(CACHE_VARIABLE).map(PathBuf::from);
    cache
        .unwrap_or_else(|| dirs::cache_dir().unwrap_or_default().join("offmodel"))
        .join("models")
}

fn stem(path: &str) -> String {
    let stem = Path::new(path).file_stem();
    stem.map_or_else(
        || path.to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_says_where_it_was_looked_for() {
        let error = locate("no/such/model.gguf").unwrap_err().to_string();
        assert!(
            error.contains("no/such/model.gguf") && error.contains("smollm2"),
            "{error}"
        );
    }

    #[test]
    fn a_path_is_named_by_its_file() {
        let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
        let located = locate(file.path().to_str().unwrap()).unwrap();
        assert_eq!(located.path, file.path());
        assert_eq!(
            located.name,
            file.path().file_stem().unwrap().to_str().unwrap()
        );
    }
}
